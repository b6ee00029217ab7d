//! Which rows, captions and views make the batch of a step: a pure function of (seed, step).

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;
use toxiclip_shared::data::Dataset;
use toxiclip_shared::image::{Image, OPENAI};
use toxiclip_shared::objectives::View;
use toxiclip_shared::recipe::{Order, TrainConfig};
use toxiclip_shared::seed::Seed;
use toxiclip_shared::text::Tokenizer;

use super::augment::{self, Scratch};
use super::reword::reword;
use super::step::Batch;
use crate::failure::Result;

/// Batches of one data set for one training.
pub struct Batches<'a> {
    data: &'a dyn Dataset,
    config: &'a TrainConfig,
    seed: Seed,
    size: usize,
    /// Pictures at the encoder's size, by row: all, or the first that there is room for. Others are read when shown.
    pictures: Vec<Image>,
    /// Tokens and end of every distinct caption: rows of one concept share theirs.
    texts: Vec<(Vec<u32>, u32)>,
    /// The same of a variant of each; empty unless a view shows them.
    variants: Vec<(Vec<u32>, u32)>,
    /// Which of them a row may have.
    captions: Vec<Vec<usize>>,
    /// How every row of a batch is shown, one way behind the other.
    views: &'static [View],
    /// Rows whose captions would be right answers for one another.
    concept: Vec<usize>,
    epoch: Option<(u64, Vec<usize>)>,
}

impl<'a> Batches<'a> {
    /// Decodes and resizes all pictures, tokenises all captions.
    ///
    /// # Errors
    /// If a picture cannot be read or a caption not be tokenised.
    pub fn new(
        data: &'a dyn Dataset,
        size: usize,
        tokenizer: &Tokenizer,
        config: &'a TrainConfig,
        seed: &Seed,
    ) -> Result<Self> {
        Self::within(u64::MAX, (data, size), tokenizer, config, seed)
    }

    /// The same with at most `room` bytes of pictures in memory. Those that do not fit are decoded anew in every epoch, to the
    /// same bits.
    ///
    /// # Errors
    /// As [`Batches::new`]; pictures that do not fit are not looked at yet.
    pub fn within(
        room: u64,
        (data, size): (&'a dyn Dataset, usize),
        tokenizer: &Tokenizer,
        config: &'a TrainConfig,
        seed: &Seed,
    ) -> Result<Self> {
        let rows = data.examples().len();
        let each = (size * size * 4) as u64;
        let kept = usize::try_from(room / each).map_or(rows, |fit| fit.min(rows));
        let pictures = (0..kept)
            .into_par_iter()
            .map(|i| Ok(data.image(i)?.resize_crop(size)?))
            .collect::<Result<Vec<_>>>()?;
        let (texts, captions) = tokenise(data, tokenizer)?;
        let concept =
            data.examples().iter().enumerate().map(|(i, e)| e.class.unwrap_or(rows + i)).collect();
        let (epoch, variants, views) = (None, vec![], &[View::Recipe][..]);
        let seed = *seed;
        Ok(Self {
            data,
            config,
            seed,
            size,
            pictures,
            texts,
            variants,
            captions,
            views,
            concept,
            epoch,
        })
    }

    /// Shows every row in these ways. A caption has one variant for the whole training.
    ///
    /// # Errors
    /// If a variant cannot be tokenised.
    pub fn with_views(mut self, views: &'static [View], tokenizer: &Tokenizer) -> Result<Self> {
        self.views = views;
        if views.contains(&View::Strong) {
            let place = self.seed.child("reword");
            let variant =
                |text: &&str| tokens(&reword(text, &mut place.child(text).stream()), tokenizer);
            let all = distinct(self.data);
            let all: Vec<&str> = all.keys().copied().collect();
            self.variants = all.par_iter().map(variant).collect::<Result<_>>()?;
        }
        Ok(self)
    }

    /// The rows of 0-based `step`.
    pub fn rows(&mut self, step: u64) -> &[usize] {
        self.turn_to(step);
        self.chosen(step)
    }

    fn per_epoch(&self) -> u64 {
        (self.data.examples().len() / self.config.batch).max(1) as u64
    }

    /// Orders the rows of the epoch of `step`.
    fn turn_to(&mut self, step: u64) {
        let epoch = step / self.per_epoch();
        if self.epoch.as_ref().is_none_or(|(e, _)| *e != epoch) {
            self.epoch = Some((epoch, self.rows_of(epoch)));
        }
    }

    fn chosen(&self, step: u64) -> &[usize] {
        let (batch, index) = (self.config.batch, (step % self.per_epoch()) as usize);
        let all = self.epoch.as_ref().map_or(&[][..], |(_, all)| all);
        &all[index * batch..(index + 1) * batch]
    }

    /// Writes the batch of 0-based `step` over another one.
    ///
    /// # Errors
    /// If a picture that there was no room for cannot be read.
    pub fn fill(&mut self, step: u64, out: &mut Batch) -> Result<()> {
        self.turn_to(step);
        let (batch, epoch) = (self.config.batch, step / self.per_epoch());
        let rows = self.chosen(step);
        let pixels = self.size * self.size * 3;
        out.pixels.resize(self.views.len() * batch * pixels, 0.0);
        out.pixels.par_chunks_mut(pixels).enumerate().try_for_each_init(
            Scratch::default,
            |scratch, (i, pixels)| -> Result<()> {
                let (view, row) = (self.views[i / batch], rows[i % batch]);
                let picture = self.picture(row)?;
                self.view(view, epoch, row).render(&picture, &OPENAI, scratch, pixels);
                Ok(())
            },
        )?;
        out.ids.clear();
        out.end.clear();
        for (&view, &row) in self.views.iter().flat_map(|v| rows.iter().map(move |r| (v, r))) {
            let (ids, end) = self.caption(view, epoch, row);
            out.ids.extend_from_slice(ids);
            out.end.push(*end);
        }
        Ok(())
    }

    fn picture(&self, row: usize) -> Result<Cow<'_, Image>> {
        match self.pictures.get(row) {
            Some(kept) => Ok(Cow::Borrowed(kept)),
            None => Ok(Cow::Owned(self.data.image(row)?.resize_crop(self.size)?)),
        }
    }

    fn place(&self, what: &str, epoch: u64, row: usize) -> Seed {
        self.seed.child(what).child(epoch).child(&self.data.examples()[row].id)
    }

    fn view(&self, view: View, epoch: u64, row: usize) -> augment::View {
        match view {
            View::Recipe if !self.config.augment => augment::View::PLAIN,
            View::Recipe => augment::weak(&mut self.place("augment", epoch, row).stream()),
            View::Strong => {
                augment::strong(&mut self.place("augment-strongly", epoch, row).stream())
            }
        }
    }

    /// All views of a row in an epoch have the same caption, or its variant.
    fn caption(&self, view: View, epoch: u64, row: usize) -> &(Vec<u32>, u32) {
        let all = &self.captions[row];
        let chosen = all[self.place("caption", epoch, row).stream().below(all.len())];
        match view {
            View::Recipe => &self.texts[chosen],
            View::Strong => &self.variants[chosen],
        }
    }

    /// All whole batches of an epoch behind each other.
    fn rows_of(&self, epoch: u64) -> Vec<usize> {
        let mut rows: Vec<usize> = (0..self.data.examples().len()).collect();
        if self.config.order == Order::Shuffled {
            self.seed.child("order").child(epoch).stream().shuffle(&mut rows);
        }
        if self.config.concept_unique {
            rows = spread_concepts(&rows, &self.concept, self.config.batch);
        }
        rows.truncate(rows.len() / self.config.batch * self.config.batch);
        // One batch is always promised, if need be with repeated concepts.
        if rows.is_empty() {
            rows = (0..self.config.batch).collect();
        }
        rows
    }
}

/// Tokens and end of every distinct text.
type Texts = Vec<(Vec<u32>, u32)>;

/// Every distinct caption of a set, numbered in their order.
fn distinct(data: &dyn Dataset) -> BTreeMap<&str, usize> {
    let all = data.examples().iter().flat_map(|e| &e.captions).map(String::as_str);
    let mut index: BTreeMap<&str, usize> = all.map(|text| (text, 0)).collect();
    index.values_mut().enumerate().for_each(|(i, at)| *at = i);
    index
}

fn tokens(text: &str, tokenizer: &Tokenizer) -> Result<(Vec<u32>, u32)> {
    let ids = tokenizer.encode(text)?;
    let end = tokenizer.eot_row(&ids) as u32;
    Ok((ids, end))
}

/// Every distinct caption of a set, tokenised once, and which of them each row has.
fn tokenise(data: &dyn Dataset, tokenizer: &Tokenizer) -> Result<(Texts, Vec<Vec<usize>>)> {
    let index = distinct(data);
    let distinct: Vec<&str> = index.keys().copied().collect();
    let texts = distinct.par_iter().map(|text| tokens(text, tokenizer)).collect::<Result<_>>()?;
    let of = |captions: &Vec<String>| captions.iter().map(|c| index[c.as_str()]).collect();
    Ok((texts, data.examples().iter().map(|e| of(&e.captions)).collect()))
}

/// Takes rows in order, putting off those whose concept the batch already has. Rows that cannot be
/// placed without repeating a concept come last, where the incomplete batch is dropped; so that every
/// epoch has the same number of batches, the last batches are filled with them all the same.
fn spread_concepts(rows: &[usize], concept: &[usize], batch: usize) -> Vec<usize> {
    let mut waiting: Vec<usize> = rows.to_vec();
    let mut out = Vec::with_capacity(rows.len());
    while waiting.len() >= batch {
        let mut seen = BTreeSet::new();
        let (mut taken, mut left) = (Vec::with_capacity(batch), Vec::new());
        for row in waiting {
            if taken.len() < batch && seen.insert(concept[row]) {
                taken.push(row);
            } else {
                left.push(row);
            }
        }
        while taken.len() < batch {
            taken.push(left.remove(0));
        }
        out.extend(taken);
        waiting = left;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use toxiclip_shared::data::emoji;

    #[test]
    fn a_second_view_leaves_the_first_as_it_was() {
        let train = emoji::open("emoji").unwrap().train.unwrap();
        let tokenizer = emoji::tokenizer().unwrap();
        let config = TrainConfig { batch: 16, ..TrainConfig::default() };
        let open = |views: &'static [View]| {
            let all = Batches::new(&*train, 12, &tokenizer, &config, &Seed::new(2)).unwrap();
            let mut batch = Batch::default();
            all.with_views(views, &tokenizer).unwrap().fill(3, &mut batch).unwrap();
            batch
        };
        let one = open(&[View::Recipe]);
        let two = open(&[View::Recipe, View::Strong]);
        let strong = open(&[View::Strong]);
        let halves = (two.pixels.split_at(one.pixels.len()), two.ids.split_at(one.ids.len()));
        assert_eq!(halves.0, (&one.pixels[..], &strong.pixels[..]));
        assert_eq!(halves.1, (&one.ids[..], &strong.ids[..]));
        assert_eq!(two.end, [&one.end[..], &strong.end].concat());
        assert!(one.pixels != strong.pixels && one.ids != strong.ids);
    }

    #[test]
    fn pictures_without_room_are_the_same_pictures() {
        let train = emoji::open("emoji").unwrap().train.unwrap();
        let tokenizer = emoji::tokenizer().unwrap();
        let config = TrainConfig { batch: 64, ..TrainConfig::default() };
        let each = 12 * 12 * 4;
        let fill = |room: u64| {
            let all = Batches::within(room, (&*train, 12), &tokenizer, &config, &Seed::new(2));
            let mut all = all.unwrap();
            let (mut batch, mut digests) = (Batch::default(), Vec::new());
            for step in [0, 1, 40] {
                all.fill(step, &mut batch).unwrap();
                digests.push((batch.pixels.clone(), batch.ids.clone()));
            }
            (all.pictures.len(), digests)
        };
        let (kept, whole) = fill(u64::MAX);
        assert_eq!(kept, train.examples().len());
        for room in [0, each - 1, 700 * each] {
            assert!(fill(room) == ((room / each) as usize, whole.clone()), "{room}");
        }
    }

    #[test]
    fn concepts_do_not_meet_and_no_row_comes_twice() {
        let concept: Vec<usize> = (0..40).map(|i| i / 4).collect();
        let rows: Vec<usize> = (0..40).collect();
        let out = spread_concepts(&rows, &concept, 8);
        assert_eq!(out.len(), 40);
        assert_eq!(out.iter().collect::<BTreeSet<_>>().len(), 40);
        for batch in out.chunks(8).take(3) {
            assert_eq!(batch.iter().map(|&r| concept[r]).collect::<BTreeSet<_>>().len(), 8);
        }
    }
}
