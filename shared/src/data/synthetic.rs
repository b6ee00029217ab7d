//! A small made-up set for tests: flat squares, one colour per class.

use super::{Class, Dataset, Example, PairId};
use crate::Result;
use crate::digest::Digest;
use crate::image::Image;

/// Nine classes in three subgroups of three, `class-0` … `class-8` of `group-0` … `group-2`, and one class
/// `empty` of `group-none` without a row.
pub(crate) struct Synthetic {
    name: &'static str,
    classes: Vec<Class>,
    examples: Vec<Example>,
}

impl Synthetic {
    /// Five rows a class.
    pub(crate) fn train() -> Self {
        Self::new("synthetic/train", 5)
    }

    /// The same without the class that has no row.
    pub(crate) fn without_empty() -> Self {
        let mut all = Self::train();
        all.classes.pop();
        all
    }

    /// Two rows a class, none of them in the training split.
    pub(crate) fn test() -> Self {
        Self::new("synthetic/test", 2)
    }

    fn new(name: &'static str, rows: usize) -> Self {
        let class = |i| Class { name: format!("class-{i}"), subgroup: format!("group-{}", i / 3) };
        let mut classes: Vec<Class> = (0..9).map(class).collect();
        classes.push(Class { name: "empty".into(), subgroup: "group-none".into() });
        let example = |i: usize| {
            let id = PairId(format!("{name}/{i}"));
            let captions = vec![format!("a square of class {}", i / rows), format!("square {i}")];
            Example { content: Digest::of(&(&id, &captions)), id, class: Some(i / rows), captions }
        };
        Self { name, classes, examples: (0..9 * rows).map(example).collect() }
    }
}

impl Dataset for Synthetic {
    fn name(&self) -> &str {
        self.name
    }
    fn digest(&self) -> Digest {
        Digest::of(&self.examples)
    }
    fn classes(&self) -> &[Class] {
        &self.classes
    }
    fn examples(&self) -> &[Example] {
        &self.examples
    }
    fn image(&self, index: usize) -> Result<Image> {
        let class = self.examples[index].class.unwrap_or(0) as u8;
        Image::new(4, 4, [class * 20, index as u8, 0, 255].repeat(16))
    }
}
