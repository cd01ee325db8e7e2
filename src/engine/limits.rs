//! How much memory hunts may take when nobody says: half of what this process is allowed.
//!
//! Knows control groups and the machine, nothing of queries.

use std::path::Path;

/// Where neither a limit nor the machine's memory can be told.
const UNKNOWN: usize = 2 << 30;

/// Half of the smallest limit over this process: its control groups', else the machine's memory.
pub fn default_memory() -> usize {
    let read = |path: &Path| std::fs::read_to_string(path).ok();
    allowed(&read).map_or(UNKNOWN, |bytes| bytes / 2)
}

/// The memory that this process may use, in bytes.
fn allowed(read: &dyn Fn(&Path) -> Option<String>) -> Option<usize> {
    let groups = read(Path::new("/proc/self/cgroup")).unwrap_or_default();
    let mut limits = Vec::new();
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(group)) = (parts.next(), parts.next()) else {
            continue;
        };
        let (root, file) = match controllers {
            "" => ("/sys/fs/cgroup", "memory.max"),
            "memory" => ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
            _ => continue,
        };
        // A group is bound by the limits of those above it too; in a container its own is the root.
        for above in Path::new(group).ancestors() {
            let above = above.strip_prefix("/").unwrap_or(above);
            limits.extend(read(&Path::new(root).join(above).join(file)));
        }
    }
    let limits = limits.iter().filter_map(|text| text.trim().parse().ok());
    limits.chain(machine(read)).min()
}

fn machine(read: &dyn Fn(&Path) -> Option<String>) -> Option<usize> {
    let text = read(Path::new("/proc/meminfo"))?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kilobytes: usize = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kilobytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn allowed_by(files: &[(&str, &str)]) -> Option<usize> {
        let files: BTreeMap<_, _> = files.iter().copied().collect();
        allowed(&|path| {
            files
                .get(path.to_str().unwrap())
                .map(|text| (*text).to_owned())
        })
    }

    #[test]
    fn the_smallest_limit_counts() {
        let machine = ("/proc/meminfo", "MemTotal:       8 kB\nMemFree: 1 kB\n");
        let group = ("/proc/self/cgroup", "0::/a/b\n");
        assert_eq!(allowed_by(&[machine]), Some(8192));
        assert_eq!(allowed_by(&[]), None);
        let of = |path, text| allowed_by(&[machine, group, (path, text)]);
        assert_eq!(of("/sys/fs/cgroup/a/b/memory.max", "4096\n"), Some(4096));
        assert_eq!(of("/sys/fs/cgroup/a/memory.max", "4096\n"), Some(4096));
        assert_eq!(of("/sys/fs/cgroup/memory.max", "4096\n"), Some(4096));
        assert_eq!(of("/sys/fs/cgroup/a/b/memory.max", "max\n"), Some(8192));
        let old = ("/proc/self/cgroup", "9:cpu:/x\n8:memory:/x\n");
        let limit = ("/sys/fs/cgroup/memory/x/memory.limit_in_bytes", "2048");
        assert_eq!(allowed_by(&[machine, old, limit]), Some(2048));
    }
}
