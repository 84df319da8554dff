//! Versions of one object. Files may hold several objects of one group, kind, namespace and name, for several
//! environments say, and a cluster holds one. Each object sees the version that belongs to it.

use std::collections::HashMap;
use std::hash::Hash;
use std::path::{Path, PathBuf};

use super::files::SetNumber;

/// Where an object stands.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Place {
    /// What it is applied with.
    pub set: SetNumber,
    /// Number of its file.
    pub file: u32,
    /// Number of the folder of its file, from [`Folders`].
    pub folder: u32,
}

/// Folders by number, each with the one that it lies in. Folder 0 holds everything.
#[derive(Clone, Debug, Default)]
pub struct Folders {
    numbers: HashMap<PathBuf, u32>,
    /// Of all folders but folder 0, in their order.
    parents: Vec<u32>,
}

impl Folders {
    /// The number of a folder; a new one where it has none yet. The empty path, of the standard input, is folder 0.
    pub fn number(&mut self, folder: &Path) -> u32 {
        if folder.as_os_str().is_empty() {
            return 0;
        }
        if let Some(number) = self.numbers.get(folder) {
            return *number;
        }
        let new: Vec<&Path> = folder.ancestors().take_while(|folder| !self.numbers.contains_key(*folder)).collect();
        let above = new.last().and_then(|top| top.parent()).and_then(|parent| self.numbers.get(parent));
        let mut number = above.copied().unwrap_or(0);
        for folder in new.into_iter().rev() {
            self.parents.push(number);
            number = u32::try_from(self.parents.len()).unwrap_or(u32::MAX);
            self.numbers.insert(folder.to_owned(), number);
        }
        number
    }

    /// A folder and all that it lies in, from the inside.
    pub fn upward(&self, folder: u32) -> impl Iterator<Item = u32> {
        let parent = |folder: &u32| self.parents.get(usize::try_from(*folder).ok()?.checked_sub(1)?).copied();
        std::iter::successors(Some(folder), parent)
    }
}

/// Objects by identity, each known by a number.
#[derive(Debug)]
pub(super) struct Identities<K> {
    known: HashMap<K, Known>,
    several: Vec<Versions>,
    /// Those with further versions: index into `several`.
    by_number: HashMap<u32, usize>,
}

impl<K> Default for Identities<K> {
    fn default() -> Self {
        Self { known: HashMap::new(), several: Vec::new(), by_number: HashMap::new() }
    }
}

#[derive(Clone, Copy, Debug)]
enum Known {
    Once(u32, Place),
    /// Index into [`Identities::several`].
    Several(usize),
}

impl<K: Eq + Hash> Identities<K> {
    pub(super) fn add(&mut self, identity: K, number: u32, place: Place, folders: &Folders) {
        let index = match self.known.get(&identity).copied() {
            None => {
                self.known.insert(identity, Known::Once(number, place));
                return;
            }
            Some(Known::Several(index)) => index,
            Some(Known::Once(first, first_place)) => {
                let index = self.several.len();
                let mut versions = Versions::default();
                versions.add(first, first_place, folders);
                self.several.push(versions);
                self.by_number.insert(first, index);
                self.known.insert(identity, Known::Several(index));
                index
            }
        };
        self.several[index].add(number, place, folders);
        self.by_number.insert(number, index);
    }

    /// Whether any object has further versions.
    pub(super) fn has_versions(&self) -> bool {
        !self.several.is_empty()
    }

    /// The version of an object that belongs to this place. None where the object has one version alone.
    pub(super) fn chosen(&self, number: u32, place: Place, folders: &Folders) -> Option<u32> {
        self.several.get(*self.by_number.get(&number)?)?.nearest(place, folders)
    }

    /// The object of an identity, in the version that belongs to this place.
    pub(super) fn find(&self, identity: &K, place: Place, folders: &Folders) -> Option<u32> {
        match self.known.get(identity)? {
            Known::Once(number, _) => Some(*number),
            Known::Several(index) => self.several.get(*index)?.nearest(place, folders),
        }
    }
}

/// The versions of one object.
#[derive(Debug, Default)]
struct Versions {
    /// The last one of each file, for kubectl applies one after the other.
    by_file: HashMap<u32, u32>,
    /// The nearest one below each folder, with its distance. Of several the last one, as kubectl goes through a folder.
    by_folder: HashMap<u32, (usize, u32)>,
}

impl Versions {
    fn add(&mut self, number: u32, place: Place, folders: &Folders) {
        self.by_file.insert(place.file, number);
        for (distance, folder) in folders.upward(place.folder).enumerate() {
            let nearest = self.by_folder.entry(folder).or_insert((distance, number));
            if distance <= nearest.0 {
                *nearest = (distance, number);
            }
        }
    }

    fn nearest(&self, place: Place, folders: &Folders) -> Option<u32> {
        let below = |folder: u32| self.by_folder.get(&folder).map(|(_, number)| *number);
        self.by_file.get(&place.file).copied().or_else(|| folders.upward(place.folder).find_map(below))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_file_then_the_nearest_folder() {
        let mut folders = Folders::default();
        let mut at = |file: u32, folder: &str| Place { set: 0, file, folder: folders.number(Path::new(folder)) };
        let places = [at(0, "/k/base"), at(1, "/k/dev"), at(2, "/k/dev/eu"), at(1, "/k/dev"), at(3, "/k/dev")];
        let [beside, below, above, apart] =
            [at(9, "/k/dev/us"), at(9, "/k/base/x/y"), at(9, "/k"), at(9, "/elsewhere")];
        let mut known = Identities::default();
        for (number, place) in (0..).zip(places) {
            known.add("web", number, place, &folders);
        }
        known.add("alone", 7, apart, &folders);
        let find = |place| known.find(&"web", place, &folders);
        assert_eq!(places.map(find), [Some(0), Some(3), Some(2), Some(3), Some(4)], "the last one of a file");
        assert_eq!([beside, below, above, apart].map(find), [Some(4), Some(0), Some(4), Some(4)]);
        assert_eq!(known.chosen(0, beside, &folders), Some(4));
        assert_eq!(known.chosen(7, beside, &folders), None);
        assert_eq!(known.find(&"alone", beside, &folders), Some(7));
    }
}
