//! `lakehunt hunts new`: a hunt and its fixture from the template.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};

use super::data;
use crate::cli::NewArgs;
use crate::error::{Error, Result, did_you_mean};
use crate::hunt::template::{Template, fresh_id};
use crate::hunt::{Content, Library};
use crate::lake::view::{self, ViewType};
use crate::printer::Printer;

pub(super) fn run(
    arguments: &NewArgs,
    content: &Content,
    library: &Library,
    printer: &Printer,
    now: DateTime<Utc>,
) -> Result<()> {
    let NewArgs {
        name,
        category,
        product,
    } = arguments;
    for (what, word) in [("NAME", name), ("--product", product)] {
        if !is_snake_case(word) {
            return Err(
                Error::configuration(format!("{what}: `{word}` is not in snake_case")).hint(
                    format!(
                        "small letters, digits and underscores, a letter first, such as `{}`",
                        snake_case(word)
                    ),
                ),
            );
        }
    }
    let Some(tests) = content.tests() else {
        return Err(
            Error::configuration("there is no sql/hunts folder here to write into")
                .hint("`lakehunt init DIR` starts a project; run this in its folder"),
        );
    };
    let views = view::load(content)?;
    let view = views.get(category).ok_or_else(|| {
        let known = views.keys().map(String::as_str);
        let near = did_you_mean(category, known.clone());
        let hint =
            near.unwrap_or_else(|| format!("there are {}", known.collect::<Vec<_>>().join(", ")));
        Error::configuration(format!("--category: there is no view `{category}`")).hint(hint)
    })?;
    let inside = format!("hunts/{product}/{category}/{name}");
    let hunt = content.display_path(&format!("{inside}.sql"));
    let fixture = tests.join(&inside);
    if let Ok(other) = library.get(name) {
        return Err(exists(
            format!("there is a hunt `{name}` already"),
            &other.path,
        ));
    }
    for path in [&hunt, &fixture] {
        if path.exists() {
            return Err(exists(format!("{} is there already", path.display()), path));
        }
    }
    let is_text = |column: &&view::ViewColumn| column.column_type == ViewType::Utf8View;
    let texts = view.columns.iter().filter(is_text);
    let texts: Vec<_> = texts.map(|column| column.name.as_str()).collect();
    let id = fresh_id(&hunt.to_string_lossy(), now);
    let template = Template::new(name, category, &texts, &id).ok_or_else(|| {
        Error::configuration(format!(
            "the view `{category}` has no text column to look at"
        ))
        .hint("copy a neighbour of the hunt you have in mind")
    })?;
    let events = fixture.join(format!("events.{category}.ndjson"));
    let expected = fixture.join("expected.ndjson");
    let mut written = String::new();
    for (path, text) in [
        (&hunt, &template.hunt),
        (&events, &template.events),
        (&expected, &template.expected),
    ] {
        write(path, text)?;
        let _ = writeln!(written, "{}", path.display());
    }
    data(printer, &written)?;
    printer.note(&format!(
        "it passes as it is: lakehunt check {name} && lakehunt test {name}\n\
         next: edit the hunt; put events that it must and must not find beside {}; lakehunt test {name} --accept",
        expected.display()
    ));
    Ok(())
}

fn exists(message: String, path: &Path) -> Error {
    Error::configuration(message)
        .in_file(path)
        .hint("choose another name; nothing is overwritten")
}

/// Writes a new file and the folders above it.
fn write(path: &PathBuf, text: &str) -> Result<()> {
    let wrong = |error: std::io::Error| {
        Error::failure(format!("cannot write the file: {error}")).in_file(path)
    };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(wrong)?;
    }
    let mut file = std::fs::File::create_new(path).map_err(wrong)?;
    std::io::Write::write_all(&mut file, text.as_bytes()).map_err(wrong)
}

fn is_snake_case(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_lowercase())
        && word
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

/// What was probably meant.
fn snake_case(word: &str) -> String {
    let mut name = String::new();
    for c in word.chars() {
        if c.is_ascii_uppercase() && name.ends_with(|last: char| last.is_ascii_lowercase()) {
            name.push('_');
        }
        match c {
            c if c.is_ascii_alphanumeric() => name.push(c.to_ascii_lowercase()),
            _ if name.is_empty() || name.ends_with('_') => {}
            _ => name.push('_'),
        }
    }
    let name = name.trim_end_matches('_');
    if is_snake_case(name) {
        name.to_owned()
    } else {
        "my_hunt".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_in_snake_case() {
        assert!(is_snake_case("wmic_format2"));
        for (word, meant) in [
            ("WmicFormat", "wmic_format"),
            ("wmic-format", "wmic_format"),
            ("Wmic format!", "wmic_format"),
            ("../x", "x"),
            ("2x", "my_hunt"),
            ("", "my_hunt"),
        ] {
            assert!(!is_snake_case(word), "{word}");
            assert_eq!(snake_case(word), meant, "{word}");
        }
    }
}
