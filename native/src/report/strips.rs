//! Pictures: what was poisoned, and what the models now retrieve.

use maud::{Markup, html};

use super::extras::{Picture, PoisonedPair, Ranking, ReportExtras, Retrieval};
use super::figure::marker;
use super::numbers::{percent, thousands};

/// Poisoned training pairs: the part that was taken away crossed out, the part put in framed.
pub(super) fn poisoned(extras: &ReportExtras) -> Option<Markup> {
    if extras.poisoned.is_empty() {
        return None;
    }
    Some(html! {
        section #poisoned {
            h2 { "What was poisoned" }
            @for (attack, pairs) in by_attack(&extras.poisoned) {
                @if let Some(b) = extras.budgets.iter().find(|b| b.attack == attack && b.training_pairs > 0) {
                    p {
                        strong { (attack) } " changed " (thousands(b.poisoned_pairs)) " of "
                        (thousands(b.training_pairs)) " training pairs ("
                        (percent(b.poisoned_pairs as f64 / b.training_pairs as f64)) "). Some of them:"
                    }
                }
                ul.pairs { @for p in pairs { li.pair { (pair(p, Picture::inside)) } } }
            }
        }
    })
}

/// The pairs of each attack, in order of first appearance.
fn by_attack(all: &[PoisonedPair]) -> Vec<(&str, Vec<&PoisonedPair>)> {
    let mut groups: Vec<(&str, Vec<&PoisonedPair>)> = Vec::new();
    for pair in all {
        match groups.iter_mut().find(|(attack, _)| *attack == pair.attack) {
            Some((_, group)) => group.push(pair),
            None => groups.push((&pair.attack, vec![pair])),
        }
    }
    groups
}

/// A poisoned pair; `address` is where a page finds a picture.
pub(crate) fn pair(p: &PoisonedPair, address: impl Fn(&Picture) -> String) -> Markup {
    let image = |picture: &Picture| html! { img src=(address(picture)) alt=(picture.alt) width="80" height="80"; };
    html! {
        div.swap {
            @match &p.after {
                Some(after) => {
                    figure { (removed(&image(&p.before))) figcaption { "before" } }
                    span aria-hidden="true" { "→" }
                    figure {
                        span class="picture inserted" { (image(after)) }
                        figcaption { "shown instead" }
                    }
                }
                None => { figure { span.picture { (image(&p.before)) } figcaption { "picture kept" } } }
            }
        }
        p {
            @match &p.new_caption {
                Some(new) => { del { (p.caption) } br; ins { (new) } }
                None => { "“" (p.caption) "”" br; small { "caption kept" } }
            }
        }
        p.quiet { "goal " (p.goal) }
    }
}

fn removed(image: &Markup) -> Markup {
    html! {
        span class="picture removed" {
            (image)
            svg viewBox="0 0 80 80" aria-hidden="true" { path d="M4 4L76 76M76 4L4 76" {} }
        }
    }
}

fn image(picture: &Picture) -> Markup {
    html! { img src=(picture.inside()) alt=(picture.alt) width="80" height="80"; }
}

/// For each query the first five pictures under every model, targets framed and named.
pub(super) fn retrieval(extras: &ReportExtras) -> Option<Markup> {
    if extras.retrievals.is_empty() {
        return None;
    }
    Some(html! {
        section #retrieval {
            h2 { "What the model now retrieves" }
            p { "The first five pictures for captions of the attacked class. What the attacker wants to be found is framed and marked " em { "target" } "; ranks count from 0." }
            @for r in &extras.retrievals { (query(r)) }
        }
    })
}

fn query(r: &Retrieval) -> Markup {
    html! {
        div.query {
            h3 { "“" (r.query) "”" }
            p.quiet { "goal " (r.goal) ", " (thousands(r.gallery.into())) " pictures ranked" }
            div.rankings { @for ranking in &r.rankings { (strip(ranking, r.gallery)) } }
        }
    }
}

fn strip(ranking: &Ranking, gallery: u32) -> Markup {
    html! {
        div {
            div { (marker(ranking.role)) strong { (ranking.label) } }
            ol.strip {
                @for item in &ranking.items {
                    li {
                        span class=(if item.target { "picture target" } else { "picture" }) { (image(&item.picture)) }
                        @if item.target { strong { "target: " } }
                        (short(&item.picture.alt))
                    }
                }
            }
            p.quiet style="margin:0" { "rank of the first target: " (ranking.rank) " of " (thousands(gallery.into())) }
        }
    }
}

/// The class, where the alternative text is `class, family`.
fn short(alt: &str) -> &str {
    alt.split(',').next().unwrap_or(alt)
}
