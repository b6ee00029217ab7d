//! The art sets: who drew them, under which licence, and what each is for.

use serde::Serialize;

/// What an art set may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// One of the five independent families that train and are held out cell by cell.
    Training,
    /// Never trained on: a distribution shift.
    Shift,
}

/// One designer's drawings of the concepts: one PNG sheet.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ArtSet {
    /// Stem of the sheet and first part of every sample id.
    pub name: &'static str,
    /// The package it is rendered from; its version and digest stand in `packages.json`.
    pub package: &'static str,
    /// Training family or shift.
    pub role: Role,
    /// SPDX identifier of the licence of the **art** (not of the package that carries it).
    pub licence: &'static str,
    /// The credit owed.
    pub credit: &'static str,
}

impl ArtSet {
    /// Whether copies must carry the same licence; such sets have a folder of their own.
    pub fn share_alike(&self) -> bool {
        self.licence.contains("-SA-")
    }
}

const MICROSOFT: &str = "Fluent Emoji, © Microsoft Corporation, \
    https://github.com/microsoft/fluentui-emoji; rasterised at 64 px";
const OPENMOJI: &str = "OpenMoji, the open-source emoji and icon project, HfG Schwäbisch Gmünd, \
    https://openmoji.org; rasterised at 64 px";

/// All sets; the training families first, in the order of their rows.
pub const ART: [ArtSet; 10] = [
    ArtSet {
        name: "noto",
        package: "@iconify-json/noto",
        role: Role::Training,
        licence: "Apache-2.0",
        credit: "Noto Emoji, © Google Inc., https://github.com/googlefonts/noto-emoji; \
            rasterised at 64 px",
    },
    ArtSet {
        name: "noto-v1",
        package: "@iconify-json/noto-v1",
        role: Role::Training,
        licence: "Apache-2.0",
        credit: "Noto Emoji version 1 (blob era), © Google Inc., \
            https://github.com/googlefonts/noto-emoji; rasterised at 64 px",
    },
    ArtSet {
        name: "twemoji",
        package: "@iconify-json/twemoji",
        role: Role::Training,
        licence: "CC-BY-4.0",
        credit: "Twemoji, © Twitter, Inc. and other contributors, \
            https://github.com/jdecked/twemoji; rasterised at 64 px",
    },
    ArtSet {
        name: "emojione",
        package: "@iconify-json/emojione",
        role: Role::Training,
        licence: "CC-BY-4.0",
        credit: "EmojiTwo, https://github.com/EmojiTwo/emojitwo, and Emojione 2.2 by Ranks.com, \
            https://github.com/joypixels/emojione; rasterised at 64 px",
    },
    ArtSet {
        name: "fxemoji",
        package: "@iconify-json/fxemoji",
        role: Role::Training,
        licence: "CC-BY-4.0",
        credit: "FxEmojis (Firefox OS), © Mozilla Foundation, \
            https://github.com/mozilla/fxemoji; rasterised at 64 px",
    },
    ArtSet {
        name: "fluent",
        package: "@iconify-json/fluent-emoji",
        role: Role::Shift,
        licence: "MIT",
        credit: MICROSOFT,
    },
    ArtSet {
        name: "fluent-3d",
        package: "@lobehub/fluent-emoji-3d",
        role: Role::Shift,
        licence: "MIT",
        credit: MICROSOFT,
    },
    ArtSet {
        name: "fluent-contrast",
        package: "@iconify-json/fluent-emoji-high-contrast",
        role: Role::Shift,
        licence: "MIT",
        credit: MICROSOFT,
    },
    ArtSet {
        name: "openmoji",
        package: "openmoji",
        role: Role::Shift,
        licence: "CC-BY-SA-4.0",
        credit: OPENMOJI,
    },
    ArtSet {
        name: "openmoji-black",
        package: "openmoji",
        role: Role::Shift,
        licence: "CC-BY-SA-4.0",
        credit: OPENMOJI,
    },
];

/// A data set made of art sets.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct DatasetInfo {
    /// The name that configurations use.
    pub name: &'static str,
    /// One line: what is in it and what it is for.
    pub summary: &'static str,
    /// Whether it trains; a shift has the split `test` alone.
    pub role: Role,
    /// Names of its art sets.
    pub art: &'static [&'static str],
}

impl DatasetInfo {
    /// Its art sets with licence and credit.
    pub fn art_sets(&self) -> impl Iterator<Item = &'static ArtSet> {
        ART.iter().filter(|set| self.art.contains(&set.name))
    }
}

/// All emoji data sets. They have the same classes in the same order.
pub const DATASETS: [DatasetInfo; 6] = [
    DatasetInfo {
        name: "emoji",
        summary: "drawings of about 550 things by five designers; one drawing per thing held out",
        role: Role::Training,
        art: &["noto", "noto-v1", "twemoji", "emojione", "fxemoji"],
    },
    DatasetInfo {
        name: "emoji-fluent",
        summary: "shift: Fluent colour, another designer (as ImageNet-V2 is to ImageNet)",
        role: Role::Shift,
        art: &["fluent"],
    },
    DatasetInfo {
        name: "emoji-3d",
        summary: "shift: Fluent 3D, rendered bodies (as ImageNet-R)",
        role: Role::Shift,
        art: &["fluent-3d"],
    },
    DatasetInfo {
        name: "emoji-contrast",
        summary: "shift: Fluent high contrast, black on white (as ImageNet-Sketch)",
        role: Role::Shift,
        art: &["fluent-contrast"],
    },
    DatasetInfo {
        name: "emoji-openmoji",
        summary: "shift: OpenMoji colour, outlined art that is hard for the other families (as ImageNet-A)",
        role: Role::Shift,
        art: &["openmoji"],
    },
    DatasetInfo {
        name: "emoji-openmoji-black",
        summary: "shift: OpenMoji black, line art (as ImageNet-Sketch)",
        role: Role::Shift,
        art: &["openmoji-black"],
    },
];
