//! One file per sub-command: its arguments and what it does.

pub mod bench;
pub mod convert;
pub mod defend;
pub mod doctor;
pub mod embed;
pub mod eval;
pub mod hidden;
pub mod leaderboard;
pub mod list;
pub mod poison;
pub mod report;
pub mod run;
pub mod scan;
pub mod serve;
pub mod show;
pub mod submit;
pub mod train;
