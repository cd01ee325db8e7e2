//! A grid's cron expression for timers that are not ours: moved to when a tile has settled, and as systemd writes it.
//!
//! Only what cron itself has: five fields of numbers, names, ranges, lists and steps. What croner knows beyond that has
//! no place in a crontab.

use std::collections::BTreeSet;

use super::TimeError;

/// The least and the greatest value of each field.
const BOUNDS: [(u32, u32); 5] = [(0, 59), (0, 23), (1, 31), (1, 12), (0, 7)];
const MONTHS: [&str; 12] = [
    "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC",
];
const DAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];
const SYSTEMD_DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];

/// A cron expression, field by field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timer {
    fields: [Field; 5],
}

/// The values of one field; `None` is `*`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Field(Option<BTreeSet<u32>>);

impl Timer {
    /// Reads an expression.
    ///
    /// # Errors
    /// [`TimeError::Cron`] for what a crontab cannot say.
    pub fn parse(text: &str) -> Result<Self, TimeError> {
        let expression = match text.trim() {
            "@hourly" => "0 * * * *",
            "@daily" | "@midnight" => "0 0 * * *",
            "@weekly" => "0 0 * * 0",
            "@monthly" => "0 0 1 * *",
            "@yearly" | "@annually" => "0 0 1 1 *",
            other => other,
        };
        let fields: Vec<_> = expression
            .split_whitespace()
            .enumerate()
            .map(|(index, field)| parse_field(index, field))
            .collect();
        let fields: Option<Vec<_>> = fields.into_iter().collect();
        let fields = fields.and_then(|fields| <[_; 5]>::try_from(fields).ok());
        fields
            .map(|fields| Self { fields })
            .ok_or_else(|| TimeError::Cron {
                text: text.to_owned(),
                problem: "other timers cannot say it".to_owned(),
                hint: "let `run --due` run every hour: it does nothing where nothing is due"
                    .to_owned(),
            })
    }

    /// The same some minutes later; `None` where five fields cannot say that.
    pub fn later(&self, minutes: u32) -> Option<Self> {
        if minutes == 0 {
            return Some(self.clone());
        }
        let every: BTreeSet<u32> = (0..60).collect();
        let own = self.fields[0].0.as_ref().unwrap_or(&every);
        let carries: BTreeSet<u32> = own.iter().map(|minute| (minute + minutes) / 60).collect();
        let moved: BTreeSet<u32> = own.iter().map(|minute| (minute + minutes) % 60).collect();
        let any_day = self.fields[2..].iter().all(|field| field.0.is_none());
        let mut later = self.clone();
        later.fields[0] = Field((moved != every).then_some(moved));
        match &self.fields[1].0 {
            // Every hour, whichever it is; but not every hour of some days.
            None if any_day || carries.iter().all(|carry| *carry == 0) => {}
            Some(hours) if carries.len() == 1 => {
                let carry = *carries.first()?;
                let past_midnight = hours.iter().any(|hour| hour + carry > 23);
                if past_midnight && !any_day {
                    return None;
                }
                let hours = hours.iter().map(|hour| (hour + carry) % 24);
                later.fields[1] = Field(Some(hours.collect()));
            }
            _ => return None,
        }
        Some(later)
    }

    /// The expression for a crontab.
    pub fn crontab(&self) -> String {
        let fields = self.fields.iter();
        let fields = fields.map(|field| {
            field
                .0
                .as_ref()
                .map_or("*".to_owned(), |set| list(set, "-"))
        });
        fields.collect::<Vec<_>>().join(" ")
    }

    /// The expressions for `OnCalendar=`, without a zone. Two where both a day of the month and a weekday are given,
    /// because cron then means either.
    pub fn on_calendar(&self) -> Vec<String> {
        let text = |index: usize, width: usize| match &self.fields[index].0 {
            None => "*".to_owned(),
            Some(set) => set
                .iter()
                .map(|value| format!("{value:0width$}"))
                .collect::<Vec<_>>()
                .join(","),
        };
        let time = format!("{}:{}:00", text(1, 2), text(0, 2));
        let weekdays = self.fields[4].0.as_ref().map(|set| {
            let names = (0..7).filter(|day| set.contains(day) || *day == 0 && set.contains(&7));
            let names = names.map(|day| SYSTEMD_DAYS[day as usize]);
            names.collect::<Vec<_>>().join(",")
        });
        let day = |day: &str| format!("*-{}-{day} {time}", text(3, 2));
        match (weekdays, &self.fields[2].0) {
            (None, _) => vec![day(&text(2, 2))],
            (Some(weekdays), None) => vec![format!("{weekdays} {}", day("*"))],
            (Some(weekdays), Some(_)) => {
                vec![day(&text(2, 2)), format!("{weekdays} {}", day("*"))]
            }
        }
    }
}

/// A field; the outer `None` for what cannot be read.
fn parse_field(index: usize, text: &str) -> Option<Field> {
    let (least, most) = *BOUNDS.get(index)?;
    if text == "*" || text == "?" {
        return Some(Field::default());
    }
    let value = |text: &str| {
        let names: &[&str] = match index {
            3 => &MONTHS,
            4 => &DAYS,
            _ => &[],
        };
        let named = names
            .iter()
            .position(|name| name.eq_ignore_ascii_case(text));
        let first = u32::from(index == 3);
        match named {
            Some(at) => u32::try_from(at).ok().map(|at| at + first),
            None => text.parse().ok(),
        }
        .filter(|value| (least..=most).contains(value))
    };
    let mut values = BTreeSet::new();
    for part in text.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, step.parse::<usize>().ok().filter(|step| *step > 0)?),
            None => (part, 1),
        };
        let (from, to) = match range.split_once('-') {
            _ if range == "*" => (least, most.min(if index == 4 { 6 } else { most })),
            Some((from, to)) => (value(from)?, value(to)?),
            None if part.contains('/') => (value(range)?, most),
            None => (value(range)?, value(range)?),
        };
        if from > to {
            return None;
        }
        values.extend((from..=to).step_by(step));
    }
    Some(Field(Some(values)))
}

/// Values as a list, runs of three and more as ranges.
fn list(values: &BTreeSet<u32>, to: &str) -> String {
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for value in values {
        match runs.last_mut() {
            Some(run) if run.1 + 1 == *value => run.1 = *value,
            _ => runs.push((*value, *value)),
        }
    }
    let runs = runs.into_iter().map(|(from, until)| match until - from {
        0 => from.to_string(),
        1 => format!("{from},{until}"),
        _ => format!("{from}{to}{until}"),
    });
    runs.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crontabs_say_it_later() {
        for (cron, minutes, later) in [
            ("0 2 * * *", 0, Some("0 2 * * *")),
            ("0 2 * * *", 10, Some("10 2 * * *")),
            ("0 * * * *", 15, Some("15 * * * *")),
            ("50 * * * *", 15, Some("5 * * * *")),
            ("@hourly", 90, Some("30 * * * *")),
            ("*/15 * * * *", 5, Some("5,20,35,50 * * * *")),
            ("* * * * *", 5, Some("* * * * *")),
            ("50 23 * * *", 20, Some("10 0 * * *")),
            ("50 22 * * MON", 20, Some("10 23 * * 1")),
            ("50 23 * * MON", 20, None),
            ("50 23 1 * *", 20, None),
            ("0,50 1,5 * * *", 20, None),
            ("50 * * * 1-5", 20, None),
            ("5 * 1 jan,Mar *", 20, Some("25 * 1 1,3 *")),
            ("@monthly", 150, Some("30 2 1 * *")),
            ("0 0 * * 1-5", 0, Some("0 0 * * 1-5")),
        ] {
            let timer = Timer::parse(cron).unwrap();
            let shown = timer.later(minutes).map(|timer| timer.crontab());
            assert_eq!(shown.as_deref(), later, "{cron} and {minutes} minutes");
        }
    }

    #[test]
    fn systemd_says_it_its_way() {
        for (cron, calendar) in [
            ("0 2 * * *", &["*-*-* 02:00:00"][..]),
            ("*/30 * * * *", &["*-*-* *:00,30:00"]),
            ("0 3 1 * *", &["*-*-01 03:00:00"]),
            ("15 4 * 2-3 *", &["*-02,03-* 04:15:00"]),
            ("0 0 * * 1-5", &["Mon,Tue,Wed,Thu,Fri *-*-* 00:00:00"]),
            ("0 0 * * 7", &["Sun *-*-* 00:00:00"]),
            ("0 6 1 * MON", &["*-*-01 06:00:00", "Mon *-*-* 06:00:00"]),
        ] {
            let timer = Timer::parse(cron).unwrap();
            assert_eq!(timer.on_calendar(), calendar, "{cron}");
        }
    }

    #[test]
    fn what_only_croner_knows_is_refused() {
        for cron in [
            "0 0 L * *",
            "0 0 * * 5#2",
            "0 0 15W * *",
            "0 0 * *",
            "61 * * * *",
        ] {
            assert!(Timer::parse(cron).is_err(), "{cron}");
        }
    }
}
