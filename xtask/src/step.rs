//! Steps of a task: each prints its name and its wall time, all run, and the task fails if one did.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

/// How a step ended well.
pub(crate) enum Outcome {
    /// It ran.
    Passed,
    /// It could not run here; why, and what to do about it.
    Skipped(String),
}

/// The steps so far.
#[derive(Default)]
pub(crate) struct Steps {
    done: Vec<(&'static str, Duration, Result<Outcome>)>,
}

impl Steps {
    /// Runs one step. A failure is reported at once, and again by [`Steps::finish`]; the next step runs all the same,
    /// because one run that names every fault is worth more than several that name one each.
    #[expect(clippy::disallowed_methods, reason = "the time of a step is what is measured")]
    pub(crate) fn run(&mut self, name: &'static str, work: impl FnOnce() -> Result<Outcome>) {
        println!("==> {name}");
        let start = Instant::now();
        let result = work();
        let time = start.elapsed();
        println!("<== {name}: {} in {:.1} s", verdict(&result), time.as_secs_f64());
        self.done.push((name, time, result));
    }

    /// Prints the table of all steps with the total time.
    pub(crate) fn finish(self) -> Result<()> {
        let total: Duration = self.done.iter().map(|(_, time, _)| *time).sum();
        println!();
        for (name, time, result) in &self.done {
            println!("{name:<10} {:>8.1} s  {}", time.as_secs_f64(), verdict(result));
        }
        println!("{:<10} {:>8.1} s", "total", total.as_secs_f64());
        let failed = self.done.iter().filter(|(_, _, result)| result.is_err());
        let failed: Vec<&str> = failed.map(|(name, _, _)| *name).collect();
        ensure!(failed.is_empty(), "failed: {}", failed.join(", "));
        Ok(())
    }
}

fn verdict(result: &Result<Outcome>) -> String {
    match result {
        Ok(Outcome::Passed) => "passed".to_owned(),
        Ok(Outcome::Skipped(why)) => format!("SKIPPED: {why}"),
        Err(error) => format!("FAILED: {error:#}"),
    }
}

/// Runs a command in the repository with its output shown; its failure is an error that names it.
pub(crate) fn command(command: &mut Command) -> Result<Outcome> {
    let line = describe(command);
    println!("    {line}");
    let status = command
        .current_dir(crate::root())
        .status()
        .with_context(|| format!("{line}: cannot be started"))?;
    if !status.success() {
        bail!("{line}: {status}");
    }
    Ok(Outcome::Passed)
}

/// `cargo` with arguments given as one line.
pub(crate) fn cargo(arguments: &str) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments.split_whitespace());
    command
}

/// Whether a program runs at all and ends with success; shows nothing.
pub(crate) fn works(command: &mut Command) -> bool {
    command.current_dir(crate::root()).output().is_ok_and(|done| done.status.success())
}

/// What a program prints, trimmed; `None` if it cannot be run or fails.
pub(crate) fn output(command: &mut Command) -> Option<String> {
    let done = command.current_dir(crate::root()).output().ok().filter(|d| d.status.success())?;
    Some(String::from_utf8_lossy(&done.stdout).trim().to_owned())
}

fn describe(command: &Command) -> String {
    let program = std::path::Path::new(command.get_program());
    let name = program.file_name().unwrap_or(program.as_os_str()).to_string_lossy().into_owned();
    let arguments = command.get_args().map(|a| a.to_string_lossy().into_owned());
    std::iter::once(name).chain(arguments).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_failure_fails_the_task_and_a_skip_does_not() {
        let mut steps = Steps::default();
        steps.run("good", || Ok(Outcome::Passed));
        steps.run("absent", || Ok(Outcome::Skipped("no such tool".into())));
        assert!(steps.finish().is_ok());
        let mut steps = Steps::default();
        steps.run("bad", || bail!("broken"));
        steps.run("good", || Ok(Outcome::Passed));
        assert_eq!(steps.finish().unwrap_err().to_string(), "failed: bad");
    }

    #[test]
    fn a_failing_command_is_named() {
        let failure = command(&mut cargo("no-such-subcommand --flag")).err().unwrap();
        assert!(failure.to_string().contains("no-such-subcommand --flag"), "{failure}");
        assert!(command(&mut cargo("--version")).is_ok());
    }
}
