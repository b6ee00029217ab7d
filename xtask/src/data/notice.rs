//! The texts beside the data: credits with versions and digests, and what each contact sheet shows.

use std::fmt::Write as _;

use anyhow::Result;
use toxiclip_shared::data::emoji::{ART, Concepts, Role};

use super::contact;
use super::drawings::Drawings;
use super::packages::Packages;

/// The text sources, which are permissive: package, licence, credit.
const TEXTS: [(&str, &str, &str); 2] = [
    (
        "emojibase-data",
        "MIT",
        "labels, groups and tags: emojibase, © Miles Johnson, https://github.com/milesj/emojibase",
    ),
    (
        "emojilib",
        "MIT",
        "further keywords: emojilib, © Mu-An Chiou, https://github.com/muan/emojilib",
    ),
];

/// `NOTICE.md` of the permissive or of the share-alike folder.
pub(crate) fn notice(packages: &Packages, share_alike: bool) -> Result<String> {
    let mut out = String::from("# Notice\n\nWritten by `cargo xtask data`.\n\n");
    out.push_str(if share_alike {
        "The sheets and contact sheets of this art are adaptations and stand under the same licence. "
    } else {
        ""
    });
    out.push_str("The licences are in `LICENSES/`. All art was rasterised at 64 px; colours were rounded to 5 bits, alpha to 4.\n\n");
    out.push_str("| set | licence of the art | credit | package | sha256 of the package |\n|---|---|---|---|---|\n");
    for set in ART.iter().filter(|set| set.share_alike() == share_alike) {
        let (version, sha256) = packages.pin(set.package)?;
        writeln!(
            out,
            "| {} | {} | {} | {} {version} | `{sha256}` |",
            set.name, set.licence, set.credit, set.package
        )?;
    }
    for (package, licence, credit) in TEXTS.iter().filter(|_| !share_alike) {
        let (version, sha256) = packages.pin(package)?;
        writeln!(out, "| (texts) | {licence} | {credit} | {package} {version} | `{sha256}` |")?;
    }
    Ok(out)
}

/// `docs/data/README.md`: what the contact sheets show.
pub(crate) fn contact_sheets(concepts: &Concepts, drawings: &Drawings) -> Result<String> {
    let mut out = String::from(
        "# Contact sheets\n\nWritten by `cargo xtask data`: the same 100 classes in every set, on white; a gap is a class that the set does not draw. \
         Licences and credits: `shared/data/emoji/NOTICE.md` and `shared/data/emoji-share-alike/NOTICE.md`.\n\n",
    );
    out.push_str("| set | used for | drawings | sheet |\n|---|---|---|---|\n");
    for set in &ART {
        let role = match set.role {
            Role::Training => "training family",
            Role::Shift => "distribution shift",
        };
        let (name, count) = (set.name, drawings[set.name].len());
        writeln!(out, "| {name} | {role} | {count} | [{name}.png]({name}.png) |")?;
    }
    out.push_str("\nRow by row:\n\n");
    for row in contact::shown(concepts).chunks(contact::EDGE) {
        let names: Vec<&str> = row.iter().map(|(_, name)| name.as_str()).collect();
        writeln!(out, "1. {}", names.join(", "))?;
    }
    Ok(out)
}
