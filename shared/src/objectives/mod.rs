//! What a training minimises, one file each: a loss of the two embedding matrices, with its gradient.
//!
//! An objective is plain data beside a training's recipe. The executor that runs the towers knows nothing of it, and an
//! objective knows nothing of attacks: which pairs are poisoned is in none of its arguments. Losses are pure functions; the
//! program's trainer brings what they need besides the batch (a second view, the start's embeddings, captions of earlier
//! batches).
//!
//! To add one: a file with its parameters and its loss, a variant of [`Objective`], which the compiler then asks about.

mod agree;
mod bank;
mod crossed;
mod flood;
mod repel;
mod self_supervised;
mod unimodal;

use serde::{Deserialize, Serialize};

pub use agree::Agree;
pub use bank::Bank;
pub use crossed::crossed;
pub use flood::Flood;
pub use repel::Repel;
pub use self_supervised::SelfSupervised;
pub use unimodal::Unimodal;

use crate::exec::cpu::contrastive::Contrastive;

/// What a training minimises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "name", deny_unknown_fields)]
pub enum Objective {
    /// The symmetric contrastive loss of CLIP.
    #[default]
    Contrastive,
    /// The same and one inside each modality, between two views (CleanCLIP).
    SelfSupervised(SelfSupervised),
    /// The same, and away from the embeddings that the start gave (PAR).
    Repel(Repel),
    /// In some epochs a picture is paired with the nearest of earlier captions instead of its own (RoCLIP).
    Bank(Bank),
    /// The contrastive loss kept at a level, or made to climb (ABL).
    Flood(Flood),
    /// Pictures among themselves and captions among themselves (SafeCLIP).
    Unimodal(Unimodal),
    /// Pictures with other views of captions, captions with other views of pictures (SafeCLIP).
    Crossed,
    /// Pairs for themselves are to agree more, or to be forgotten (UBT).
    Agree(Agree),
}

/// How a picture and its caption are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// As the recipe says, with the caption as it is.
    Recipe,
    /// Strongly augmented, with the caption's variant.
    Strong,
}

/// A loss with its gradients, and the terms it was made of.
#[derive(Debug)]
pub struct Loss {
    /// The whole: image and text gradients have as many rows as the embeddings that went in.
    pub whole: Contrastive,
    /// Terms by name, for the log.
    pub terms: Vec<(&'static str, f32)>,
}

impl Objective {
    /// Whether it is CLIP's own; such a training is named as if there were no others.
    pub fn is_contrastive(&self) -> bool {
        *self == Self::Contrastive
    }

    /// The views that a batch is made of, one behind the other.
    pub fn views(&self) -> &'static [View] {
        match self {
            Self::Contrastive
            | Self::Repel(_)
            | Self::Flood(_)
            | Self::Agree(_)
            | Self::Bank(Bank { strong: false, .. }) => &[View::Recipe],
            Self::SelfSupervised(_) | Self::Unimodal(_) | Self::Crossed => {
                &[View::Recipe, View::Strong]
            }
            Self::Bank(Bank { strong: true, .. }) => &[View::Strong],
        }
    }
}
