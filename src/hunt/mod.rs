//! Hunts: one `.sql` file each, front matter and one SELECT; the library of all of them; selection by name, tag,
//! status and level.
//!
//! Pure: no query engine, no async runtime. What the SQL means is the engine's business.

pub mod attack;
pub mod content;
pub mod fixture;
pub mod front_matter;
pub mod library;
pub mod tags;
pub mod template;
pub mod yaml;

pub use content::Content;
pub use front_matter::{FrontMatter, Level, Parameter, Risk, Source, Status};
pub use library::{Library, Selection};

use std::path::PathBuf;

/// One hunt as it was read from its file.
#[derive(Debug, Clone, PartialEq)]
pub struct Hunt {
    /// The file stem, such as `wmic_format`.
    pub name: String,
    /// The file, for people.
    pub path: PathBuf,
    /// Path inside the `sql/` folder, such as `hunts/windows/process_creation/wmic_format.sql`.
    pub inside: String,
    /// The typed front matter.
    pub front_matter: FrontMatter,
    /// The whole file, so that lines of errors are lines of the file. The front matter is comments to SQL.
    pub sql: String,
}
