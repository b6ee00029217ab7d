//! One file per sub-command: its arguments and what it does.

pub mod bench;
pub mod doctor;
pub mod embed;
pub mod list;
pub mod report;
pub mod run;
pub mod show;
pub mod train;
