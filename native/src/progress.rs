//! Progress on stderr: one bar per stage with throughput and time left. Nothing at all where stderr is no terminal.

use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::{
    HumanCount, HumanDuration, MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle,
};

const STYLE: &str = "{prefix:<24} {bar:24} {human_pos}/{human_len} {per_sec}  {eta} left  {msg}";

/// Where bars are drawn. Cloning gives another handle on the same lines of the terminal.
#[derive(Clone, Debug)]
pub struct Progress {
    bars: MultiProgress,
    shown: bool,
}

impl Progress {
    /// Bars on stderr if it is a terminal, else silent.
    pub fn on_stderr() -> Self {
        if std::io::stderr().is_terminal() {
            Self { bars: MultiProgress::new(), shown: true }
        } else {
            Self::silent()
        }
    }

    /// Shows nothing.
    pub fn silent() -> Self {
        let hidden = ProgressDrawTarget::hidden();
        Self { bars: MultiProgress::with_draw_target(hidden), shown: false }
    }

    /// Begins a stage of `total` steps, counted in `unit` (`steps`, `pictures`).
    pub fn stage(&self, label: impl Into<String>, total: u64, unit: &'static str) -> Stage {
        let bar = self.bars.add(ProgressBar::new(total));
        let per_second = move |state: &indicatif::ProgressState, out: &mut dyn std::fmt::Write| {
            // A failing writer would be the terminal's; there is nobody to tell.
            let _ = write!(out, "{} {unit}/s", rate(state.per_sec()));
        };
        // The template is a constant: a test parses it.
        let style =
            ProgressStyle::with_template(STYLE).unwrap_or_else(|_| ProgressStyle::default_bar());
        bar.set_style(style.with_key("per_sec", per_second));
        bar.set_prefix(label.into());
        if self.shown {
            bar.enable_steady_tick(Duration::from_millis(200));
        }
        Stage { bar, progress: self.clone(), unit }
    }

    /// A log line above the bars; vanishes where stderr is no terminal.
    pub fn log(&self, line: &str) {
        if self.shown {
            self.warn(line);
        }
    }

    /// A line that must be seen wherever stderr goes: a damaged cache entry, a stage that waits.
    pub fn warn(&self, line: &str) {
        self.bars.suspend(|| eprintln!("{line}"));
    }
}

/// A running stage. Dropping it removes its bar; [`Stage::finish`] leaves a line with its throughput.
#[derive(Debug)]
pub struct Stage {
    bar: ProgressBar,
    progress: Progress,
    unit: &'static str,
}

impl Stage {
    /// Counts `steps` more.
    pub fn advance(&self, steps: u64) {
        self.bar.inc(steps);
    }

    /// Starts at `done` steps, after resuming; they do not enter the throughput.
    pub fn resume_at(&self, done: u64) {
        self.bar.set_position(done);
        self.bar.reset_eta();
    }

    /// Shows a short text beside the bar: the loss, say.
    pub fn note(&self, text: String) {
        self.bar.set_message(text);
    }

    /// Ends the stage with one line: label, count, time.
    pub fn finish(self) {
        let (count, time) = (HumanCount(self.bar.position()), HumanDuration(self.bar.elapsed()));
        let line = format!("{:<24} {count} {} in {time:#}", self.bar.prefix(), self.unit);
        self.bar.finish_and_clear();
        self.progress.log(&line);
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// Three significant figures are all that a flickering number needs.
fn rate(per_second: f64) -> String {
    match per_second {
        r if r >= 100.0 => format!("{r:.0}"),
        r if r >= 10.0 => format!("{r:.1}"),
        r => format!("{r:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_is_valid_and_rates_are_short() {
        assert!(ProgressStyle::with_template(STYLE).is_ok());
        assert_eq!([rate(1234.5), rate(12.34), rate(0.123)], ["1234", "12.3", "0.12"]);
    }

    #[test]
    fn a_silent_stage_counts_all_the_same() {
        let stage = Progress::silent().stage("train", 10, "steps");
        stage.resume_at(4);
        stage.advance(2);
        assert_eq!(stage.bar.position(), 6);
        stage.finish();
    }
}
