//! What a run says, as one model: [`Report`] in; JSON ([`json`]), Markdown ([`markdown`]) and terminal text ([`terminal`])
//! out; with what stands behind it ([`story`]) the page that is read in the morning ([`html`]).
//!
//! Pure: it reads no file, no clock and no environment, and prints nothing. The same model gives the same bytes, so a
//! rerun of a tile writes the same summary; what differs between two runs of one tile (how long it took, how much
//! memory) is therefore not in the model but an argument of the terminal text ([`terminal::Ending`]).
//!
//! It must not know where the numbers come from: no `DataFusion`, no ledger, no Parquet.
//!
//! "No findings" and "no data" are different answers. A hunt that read no event of the window never looks clean; the
//! difference is made once, in [`HuntReport::answer`], and every rendering uses it.
//!
//! Titles and names come from the library; messages, entities, file names, column names and reasons may carry what an
//! attacker wrote, and are made harmless by each rendering ([`visible`]).

pub mod escape;
pub mod figures;
pub mod html;
mod incident;
pub mod json;
mod layout;
mod limits;
pub mod markdown;
pub mod messages;
mod model;
pub mod navigator;
pub mod ocsf;
#[cfg(test)]
mod samples;
pub mod story;
pub mod terminal;
mod verdict;
pub mod visible;

pub use incident::Incident;
pub use model::{
    AlertReport, Answer, Entity, EvidenceRow, FORMAT_VERSION, HuntReport, HuntState, LostFile,
    Report, TableReport, WORST_FIRST, json_schema,
};
// Part of the model, owned by the hunts.
pub use crate::hunt::Level;
