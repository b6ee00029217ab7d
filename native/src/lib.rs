//! The program's parts: rows and evidence of runs, and the reports made from them.

pub mod evidence;
pub mod files;
pub mod provenance;
pub mod report;
pub mod row;
pub mod table;
