//! Pieces that every figure has: role markers, legend, repeating command, data as a CSV link.

use std::fmt::Write;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use maud::{Markup, html};

use super::extras::Role;

impl Role {
    /// The class of the style sheet that sets this role's colour.
    pub(super) fn class(self) -> &'static str {
        match self {
            Self::Clean => "clean",
            Self::Poisoned => "poisoned",
            Self::Defended => "defended",
        }
    }

    /// What the shape means, in words.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Clean => "clean model",
            Self::Poisoned => "poisoned model",
            Self::Defended => "defended model",
        }
    }
}

/// All roles, in the order of legends.
pub(super) const ROLES: [Role; 3] = [Role::Clean, Role::Poisoned, Role::Defended];

/// The role's shape around (`x`, `y`): circle, triangle, square, so that colour is not needed.
pub(super) fn shape(role: Role, x: f64, y: f64) -> Markup {
    let class = format!("point {}", role.class());
    let at = |points: [(f64, f64); 4]| {
        points.iter().fold(String::new(), |mut text, (dx, dy)| {
            let _ = write!(text, "{:.1},{:.1} ", x + dx, y + dy);
            text
        })
    };
    match role {
        Role::Clean => html! { circle class=(class) cx=(number(x)) cy=(number(y)) r="6.5" {} },
        Role::Poisoned => {
            html! { polygon class=(class) points=(at([(0.0, -8.0), (7.5, 5.5), (-7.5, 5.5), (0.0, -8.0)])) {} }
        }
        Role::Defended => {
            html! { polygon class=(class) points=(at([(-6.0, -6.0), (6.0, -6.0), (6.0, 6.0), (-6.0, 6.0)])) {} }
        }
    }
}

/// The role's shape beside a word.
pub(super) fn marker(role: Role) -> Markup {
    html! {
        svg class="marker" viewBox="0 0 18 18" role="img" aria-label=(role.words()) { (shape(role, 9.0, 9.0)) }
    }
}

/// A number of an SVG attribute, short.
pub(super) fn number(x: f64) -> String {
    format!("{x:.1}")
}

/// Command and data below a figure.
pub(super) fn foot(command: &str, csv_name: &str, csv: &str) -> Markup {
    html! {
        p.foot {
            (csv_link(csv_name, csv))
            @if !command.is_empty() { " · repeat with the " a href="#repeat" { "command" } ":" }
        }
        @if !command.is_empty() { (copyable(command)) }
    }
}

/// A command with its copy button; the button shows only where scripts run.
pub(super) fn copyable(command: &str) -> Markup {
    html! {
        div.command {
            pre { (command) }
            button type="button" data-copy hidden { "Copy" }
        }
    }
}

/// The data of a figure inside the page.
pub(super) fn csv_link(name: &str, csv: &str) -> Markup {
    let data = format!("data:text/csv;base64,{}", BASE64_STANDARD.encode(csv.as_bytes()));
    html! { a href=(data) download=(format!("{name}.csv")) { "Data (CSV)" } }
}

/// One line of CSV, quoted where needed.
pub(crate) fn csv_line(fields: &[String]) -> String {
    let quoted = fields.iter().map(|f| match f.contains([',', '"', '\n']) {
        true => format!("\"{}\"", f.replace('"', "\"\"")),
        false => f.clone(),
    });
    quoted.collect::<Vec<_>>().join(",") + "\n"
}
