//! Poison as a difference between data sets, and the set seen through it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Class, Dataset, Example, Mix, PairId};
use crate::digest::Digest;
use crate::image::Image;
use crate::storage::Storage;
use crate::triggers::Trigger;
use crate::{Error, Result};

/// Which picture an edited row shows instead of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ImageEdit {
    /// That of another row of the same set.
    From(PairId),
    /// One of the pictures that are searched: an attacker who wants that very picture found knows it.
    Gallery {
        /// Its row in the retrieval base.
        id: PairId,
        /// Content digest of that row: the digest of the training set does not speak of it.
        sha256: Digest,
    },
}

/// One edited row. A row is changed in place, or a changed copy of it is added, or it is dropped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Edit {
    /// Content digest of the row before the edit (of `base` for an added pair); a row that differs is refused.
    pub sha256: Digest,
    /// Set for an added pair: the row whose copy it is. The row itself stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<PairId>,
    /// The picture's replacement; `None` keeps it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageEdit>,
    /// The captions' replacement; `None` keeps them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub captions: Option<Vec<String>>,
    /// What the picture is drawn towards before it is stamped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mixed: Option<Mix>,
    /// The picture carries the attack's trigger.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stamped: bool,
    /// The file that the stamped picture passes through.
    #[serde(default, skip_serializing_if = "Storage::is_lossless")]
    pub storage: Storage,
    /// The row leaves the set.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dropped: bool,
}

impl Edit {
    /// A row with this content that shows another picture.
    pub fn picture(sha256: Digest, image: ImageEdit) -> Self {
        Self { image: Some(image), ..Self::nothing(sha256) }
    }

    /// A row with this content that leaves the set.
    pub fn drop(sha256: Digest) -> Self {
        Self { dropped: true, ..Self::nothing(sha256) }
    }

    /// A row with this content whose picture carries the trigger and whose only caption is another.
    pub fn stamp(sha256: Digest, caption: String) -> Self {
        Self { stamped: true, captions: Some(vec![caption]), ..Self::nothing(sha256) }
    }

    /// A row with this content whose picture carries the trigger; its captions stay.
    pub fn stamped(sha256: Digest) -> Self {
        Self { stamped: true, ..Self::nothing(sha256) }
    }

    /// A row with this content whose captions are others; its picture stays.
    pub fn captions(sha256: Digest, captions: Vec<String>) -> Self {
        Self { captions: Some(captions), ..Self::nothing(sha256) }
    }

    fn nothing(sha256: Digest) -> Self {
        Self {
            sha256,
            base: None,
            image: None,
            captions: None,
            mixed: None,
            stamped: false,
            storage: Storage::Lossless,
            dropped: false,
        }
    }
}

/// The poison as a difference: which rows change, and to what. Also the ground truth of detection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Poison {
    /// Edits by the id of the row they change or add.
    pub edits: BTreeMap<PairId, Edit>,
}

impl Poison {
    /// The poisoned pairs that the victim trains on, by id: rows that were dropped are in no training set.
    pub fn pairs(&self) -> impl Iterator<Item = (&PairId, &Edit)> {
        self.edits.iter().filter(|(_, edit)| !edit.dropped)
    }

    /// Whether the row of this id is poisoned.
    pub fn contains(&self, id: &PairId) -> bool {
        self.edits.get(id).is_some_and(|edit| !edit.dropped)
    }
}

/// Where the picture of a row comes from.
enum Source {
    Own(usize),
    Gallery(usize),
}

/// A row's picture.
struct Shown {
    source: Source,
    mixed: Option<(usize, Mix)>,
    stamped: bool,
    storage: Storage,
}

impl Shown {
    fn own(row: usize) -> Self {
        let (stamped, storage) = (false, Storage::Lossless);
        Self { source: Source::Own(row), mixed: None, stamped, storage }
    }
}

/// A clean set seen through a [`Poison`]. Rows keep ids, classes and order; added rows follow in the order of their ids
/// and keep the class of the row they were made from, as a label file does that nobody corrected.
pub struct Poisoned {
    clean: Arc<dyn Dataset>,
    gallery: Arc<dyn Dataset>,
    trigger: Trigger,
    name: String,
    examples: Vec<Example>,
    shown: Vec<Shown>,
    digest: Digest,
}

impl Poisoned {
    /// Applies `poison` to `clean`; `gallery` is the retrieval base that [`ImageEdit::Gallery`] names rows of, `trigger`
    /// what stamped pictures carry.
    ///
    /// # Errors
    /// If an edit names a row or a picture that the sets do not have, one whose content differs, or adds a row under
    /// an id that is taken; if nothing is left.
    pub fn new(
        clean: Arc<dyn Dataset>,
        gallery: &Arc<dyn Dataset>,
        poison: &Poison,
        trigger: &Trigger,
    ) -> Result<Self> {
        let mut rows: Vec<Option<(Example, Shown)>> = clean
            .examples()
            .iter()
            .enumerate()
            .map(|(i, e)| Some((e.clone(), Shown::own(i))))
            .collect();
        let (own, searched) = (Index::new(&*clean), Index::new(&**gallery));
        for (id, edit) in &poison.edits {
            let row = own.find(edit.base.as_ref().unwrap_or(id))?;
            let before = &clean.examples()[row];
            if before.content != edit.sha256 {
                return Err(differs(id));
            }
            let source = match &edit.image {
                None => Source::Own(row),
                Some(ImageEdit::From(other)) => Source::Own(own.find(other)?),
                Some(ImageEdit::Gallery { id, sha256 }) => {
                    let picture = searched.find(id)?;
                    if gallery.examples()[picture].content != *sha256 {
                        return Err(differs(id));
                    }
                    Source::Gallery(picture)
                }
            };
            let mixed = edit.mixed.clone().map(|mix| Ok((own.find(&mix.with)?, mix)));
            let mixed = mixed.transpose()?;
            let (stamped, storage) = (edit.stamped, edit.storage);
            let shown = Shown { source, mixed, stamped, storage };
            // What a set without stamped rows is called does not speak of triggers.
            let content = match edit.stamped {
                true => Digest::of(&(&before.content, edit, trigger)),
                false => Digest::of(&(&before.content, edit)),
            };
            let after = Example {
                id: id.clone(),
                class: before.class,
                captions: edit.captions.as_ref().unwrap_or(&before.captions).clone(),
                content,
            };
            match &edit.base {
                Some(_) if own.0.contains_key(id) => {
                    return Err(Error::input(
                        id,
                        "the poison adds a row under an id that is taken",
                    ));
                }
                Some(_) => rows.push(Some((after, shown))),
                None if edit.dropped => rows[row] = None,
                None => rows[row] = Some((after, shown)),
            }
        }
        let (examples, shown): (Vec<_>, Vec<_>) = rows.into_iter().flatten().unzip();
        if examples.is_empty() {
            return Err(Error::request(format!("the poison leaves no pair of {}", clean.name())));
        }
        let digest = match trigger {
            Trigger::None => Digest::of(&(clean.digest(), poison)),
            trigger => Digest::of(&(clean.digest(), poison, trigger)),
        };
        let name = format!("{}+poison", clean.name());
        let (gallery, trigger) = (Arc::clone(gallery), trigger.clone());
        Ok(Self { clean, gallery, trigger, name, examples, shown, digest })
    }
}

fn differs(id: &PairId) -> Error {
    Error::input(id, "its content differs from what the poison was made for")
}

/// Rows of a set by id.
struct Index<'a>(BTreeMap<&'a PairId, usize>, &'a str);

impl<'a> Index<'a> {
    fn new(data: &'a dyn Dataset) -> Self {
        Self(data.examples().iter().enumerate().map(|(i, e)| (&e.id, i)).collect(), data.name())
    }

    fn find(&self, id: &PairId) -> Result<usize> {
        let why = || format!("the poison names this sample; {} has none of that id", self.1);
        self.0.get(id).copied().ok_or_else(|| Error::input(id, why()))
    }
}

impl Dataset for Poisoned {
    fn name(&self) -> &str {
        &self.name
    }
    fn digest(&self) -> Digest {
        self.digest
    }
    fn classes(&self) -> &[Class] {
        self.clean.classes()
    }
    fn examples(&self) -> &[Example] {
        &self.examples
    }
    fn image(&self, index: usize) -> Result<Image> {
        let Shown { source, mixed, stamped, storage } = &self.shown[index];
        let picture = match *source {
            Source::Own(row) => self.clean.image(row)?,
            Source::Gallery(row) => self.gallery.image(row)?,
        };
        let picture = match mixed {
            None => picture,
            Some((row, mix)) => mix.apply(&picture, &self.clean.image(*row)?)?,
        };
        if !*stamped {
            return Ok(picture);
        }
        storage.round_trip(&self.trigger.apply(&picture, &self.examples[index].id)?)
    }
    fn tokenizer(&self) -> Option<&str> {
        self.clean.tokenizer()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::synthetic::Synthetic;

    fn sets() -> (Arc<dyn Dataset>, Arc<dyn Dataset>) {
        (Arc::new(Synthetic::train()), Arc::new(Synthetic::test()))
    }

    fn poison(edits: impl IntoIterator<Item = (PairId, Edit)>) -> Poison {
        Poison { edits: edits.into_iter().collect() }
    }

    #[test]
    fn rows_are_changed_added_and_dropped() {
        let (clean, gallery) = sets();
        let row = |i: usize| clean.examples()[i].clone();
        let target = &gallery.examples()[4];
        let shows = ImageEdit::Gallery { id: target.id.clone(), sha256: target.content };
        let added = Edit { base: Some(row(1).id), ..Edit::picture(row(1).content, shows) };
        let changed = Edit::picture(row(0).content, ImageEdit::From(row(9).id));
        let poison = poison([
            (row(0).id, changed),
            (PairId("new".into()), added),
            (row(2).id, Edit::drop(row(2).content)),
        ]);
        let view = Poisoned::new(Arc::clone(&clean), &gallery, &poison, &Trigger::None).unwrap();
        assert_eq!(view.examples().len(), clean.examples().len());
        assert_eq!(view.image(0).unwrap(), clean.image(9).unwrap());
        assert_eq!(view.examples()[1], row(1), "the row that was copied stays");
        assert_eq!(view.examples()[2], row(3), "the dropped row is gone");
        let last = view.examples().len() - 1;
        assert_eq!(view.image(last).unwrap(), gallery.image(4).unwrap());
        assert_eq!(
            (view.examples()[last].class, &view.examples()[last].captions),
            (row(1).class, &row(1).captions)
        );
        assert_eq!(poison.pairs().count(), 2);
        assert!(poison.contains(&row(0).id) && !poison.contains(&row(2).id));
        let json = serde_json::to_string(&poison).unwrap();
        assert_eq!(serde_json::from_str::<Poison>(&json).unwrap(), poison);
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let (clean, gallery) = sets();
        let error = |id: &PairId, edit: Edit| {
            let poison = poison([(id.clone(), edit)]);
            Poisoned::new(Arc::clone(&clean), &gallery, &poison, &Trigger::None)
                .err()
                .unwrap()
                .to_string()
        };
        let (row, other) = (&clean.examples()[0], &clean.examples()[1]);
        let away = || ImageEdit::From(PairId("away".into()));
        assert!(error(&row.id, Edit::picture(row.content, away())).starts_with("away: "));
        assert!(error(&row.id, Edit::drop(other.content)).contains("content differs"));
        let target =
            ImageEdit::Gallery { id: gallery.examples()[0].id.clone(), sha256: row.content };
        assert!(error(&row.id, Edit::picture(row.content, target)).contains("content differs"));
        let taken = Edit { base: Some(other.id.clone()), ..Edit::picture(other.content, away()) };
        let taken = Edit { image: None, ..taken };
        assert!(error(&row.id, taken).contains("under an id that is taken"));
        let all = clean.examples().iter().map(|e| (e.id.clone(), Edit::drop(e.content)));
        let none = Poisoned::new(Arc::clone(&clean), &gallery, &poison(all), &Trigger::None)
            .err()
            .unwrap();
        assert!(none.to_string().contains("leaves no pair"), "{none}");
    }
}
