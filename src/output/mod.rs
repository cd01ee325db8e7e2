//! What a run leaves behind: findings and alerts as Parquet, quarantine as NDJSON, the ledger, and the protocol that
//! makes all of it appear whole and once.
//!
//! Knows results and files; knows nothing of scans and people.

pub mod alert;
pub mod findings;
pub mod lease;
pub mod ledger;
pub mod publish;
pub mod value;

pub use alert::Alert;
pub use findings::Findings;
pub use ledger::Ledger;
pub use publish::Output;
