//! `folder:DIR`: one folder per class, as torchvision's ImageFolder reads them.

use std::fs;
use std::path::{Path, PathBuf};

use toxiclip_shared::Result;
use toxiclip_shared::data::{Class, Dataset, Example, PairId};
use toxiclip_shared::digest::Digest;
use toxiclip_shared::image::Image;

use super::photographs::decode;
use crate::failure::Failure;

/// Endings of files that are read; everything else is passed over.
const ENDINGS: [&str; 4] = ["jpeg", "jpg", "png", "webp"];

/// Pictures of a folder, sorted by path. Class names are folder names; a picture's caption is
/// "a photo of a NAME", or its file's stem where there are no classes.
pub struct Folder {
    name: String,
    files: Vec<PathBuf>,
    classes: Vec<Class>,
    examples: Vec<Example>,
    digest: Digest,
}

impl Folder {
    /// One folder per class below `root`.
    ///
    /// # Errors
    /// If the folder cannot be read, or holds no folders with pictures.
    pub fn classes(root: &Path) -> Result<Self, Failure> {
        let mut files = Vec::new();
        let mut classes = Vec::new();
        for folder in entries(root)?.into_iter().filter(|p| p.is_dir()) {
            let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let mut found = Vec::new();
            pictures(&folder, &mut found)?;
            files.extend(found.into_iter().map(|file| (file, Some(classes.len()))));
            classes.push(Class { name, subgroup: String::new() });
        }
        Self::new(root, files, classes, "folders with pictures (one per class)")
    }

    /// All pictures at any depth below `root`, without classes.
    ///
    /// # Errors
    /// If the folder cannot be read, or holds no pictures.
    pub fn plain(root: &Path) -> Result<Self, Failure> {
        let mut files = Vec::new();
        pictures(root, &mut files)?;
        let files = files.into_iter().map(|file| (file, None)).collect();
        Self::new(root, files, Vec::new(), "pictures")
    }

    fn new(
        root: &Path,
        files: Vec<(PathBuf, Option<usize>)>,
        classes: Vec<Class>,
        wanted: &str,
    ) -> Result<Self, Failure> {
        if files.is_empty() {
            let endings = ENDINGS.join(", ");
            return Err(Failure::request(format!(
                "{}: no {wanted}; read are {endings}",
                root.display()
            )));
        }
        let example = |(file, class): &(PathBuf, Option<usize>)| {
            // With its ending: `x.jpg` and `x.png` are two pictures.
            let id = file.strip_prefix(root).unwrap_or(file).to_string_lossy().replace('\\', "/");
            let stem = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let caption = class.map_or(stem, |c| format!("a photo of a {}", classes[c].name));
            let bytes = fs::read(file).map_err(|e| Failure::io(file, &e))?;
            let captions = vec![caption];
            let content = Digest::of(&(Digest::of_bytes(&bytes), &captions));
            Ok(Example { id: PairId(id), class: *class, captions, content })
        };
        let examples: Vec<Example> = files.iter().map(example).collect::<Result<_, Failure>>()?;
        let digest = Digest::of(&(&classes, &examples));
        let files = files.into_iter().map(|(file, _)| file).collect();
        Ok(Self { name: format!("folder:{}", root.display()), files, classes, examples, digest })
    }

    /// The files in row order.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }
}

impl Dataset for Folder {
    fn name(&self) -> &str {
        &self.name
    }
    fn digest(&self) -> Digest {
        self.digest
    }
    fn classes(&self) -> &[Class] {
        &self.classes
    }
    fn examples(&self) -> &[Example] {
        &self.examples
    }
    fn image(&self, index: usize) -> Result<Image> {
        decode(&self.files[index])
    }
}

/// Entries of a folder sorted by name.
pub(super) fn entries(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let io = |e: std::io::Error| Failure::io(folder, &e);
    let list: std::io::Result<Vec<PathBuf>> =
        fs::read_dir(folder).map_err(io)?.map(|e| e.map(|e| e.path())).collect();
    let mut list = list.map_err(io)?;
    list.sort();
    Ok(list)
}

/// Pictures at any depth, sorted by path.
pub(super) fn pictures(folder: &Path, out: &mut Vec<PathBuf>) -> Result<(), Failure> {
    for path in entries(folder)? {
        let ending = path.extension().map(|e| e.to_string_lossy().to_lowercase());
        if path.is_dir() {
            pictures(&path, out)?;
        } else if ending.is_some_and(|e| ENDINGS.contains(&e.as_str())) {
            out.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn png(path: &Path, value: u8) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        image::RgbaImage::from_pixel(3, 2, image::Rgba([value, 0, 0, 255])).save(path).unwrap();
    }

    #[test]
    fn folders_are_classes_and_files_are_sorted() {
        let dir = tempfile::tempdir().unwrap();
        for (i, name) in ["kite/b.png", "kite/a.png", "ewe/x/1.png"].iter().enumerate() {
            png(&dir.path().join(name), i as u8);
        }
        fs::write(dir.path().join("kite/notes.txt"), "no picture").unwrap();
        let data = Folder::classes(dir.path()).unwrap();
        let rows: Vec<_> = data.examples().iter().map(|e| (e.id.0.as_str(), e.class)).collect();
        assert_eq!(
            rows,
            [("ewe/x/1.png", Some(0)), ("kite/a.png", Some(1)), ("kite/b.png", Some(1))]
        );
        assert_eq!(data.examples()[1].captions, ["a photo of a kite"]);
        assert_eq!(data.image(1).unwrap().rgba()[0], 1);
        let plain = Folder::plain(dir.path()).unwrap();
        assert_eq!((plain.examples().len(), plain.examples()[1].captions[0].as_str()), (3, "a"));
        fs::write(&data.files()[1], b"broken").unwrap();
        let error = data.image(1).unwrap_err().to_string();
        assert!(error.contains("a.png: cannot be read as a picture") && !error.contains('\n'));
    }

    #[test]
    fn empty_and_missing_folders_are_requests() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Folder::classes(dir.path()).err().unwrap().code(), 2);
        assert_eq!(Folder::plain(&dir.path().join("none")).err().unwrap().code(), 2);
    }
}
