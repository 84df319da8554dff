//! Versions of one object. A cluster holds one object for each group, kind, namespace and name. Files may hold several,
//! for example for several environments. Each object sees the version that belongs to it. A version does not see
//! objects that belong to another version.

use std::collections::HashMap;
use std::hash::Hash;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::files::SetNumber;
use super::index::Meant;

/// The place of an object in the input.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Place {
    /// The set with which the object is applied.
    pub set: SetNumber,
    /// Number of its file.
    pub file: u32,
    /// Number of the folder of its file, from [`Folders`].
    pub folder: u32,
}

/// Folders by number, each with its parent. Folder 0 contains everything.
#[derive(Clone, Debug, Default)]
pub struct Folders {
    numbers: HashMap<PathBuf, u32>,
    /// Parents of all folders except folder 0, in the order of the numbers.
    parents: Vec<u32>,
}

impl Folders {
    /// The number of a folder. A new folder gets a new number. The empty path, of standard input, is folder 0.
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

    /// A folder and all its parents, from the inside to the outside.
    pub fn upward(&self, folder: u32) -> impl Iterator<Item = u32> {
        let parent = |folder: &u32| self.parents.get(usize::try_from(*folder).ok()?.checked_sub(1)?).copied();
        std::iter::successors(Some(folder), parent)
    }
}

/// Objects by identity. Each object has a number.
#[derive(Debug)]
pub(super) struct Identities<K> {
    known: HashMap<K, Occurrence>,
    several: Vec<Versions>,
    /// Objects by number. The numbers follow the order of the input.
    objects: Vec<Stands>,
    /// Workloads with several versions, by the files and the folders of the versions. The values are indices into
    /// `several`.
    in_file: HashMap<u32, Vec<usize>>,
    in_folder: HashMap<u32, Vec<usize>>,
}

/// The place of an object, and the index of its versions if it has several.
#[derive(Clone, Copy, Debug, Default)]
struct Stands {
    place: Option<Place>,
    versions: Option<usize>,
}

/// The object from which others are seen.
#[derive(Debug)]
pub(super) struct Viewer {
    number: u32,
    /// Whether it sees the objects of a file. This is cached, because a question compares thousands of objects of few
    /// files.
    files: Mutex<HashMap<u32, bool>>,
}

impl Viewer {
    pub(super) fn new(number: u32) -> Self {
        Self { number, files: Mutex::default() }
    }

    fn meets(&self, file: u32, work_out: impl FnOnce() -> bool) -> bool {
        *self.files.lock().unwrap_or_else(PoisonError::into_inner).entry(file).or_insert_with(work_out)
    }
}

impl<K> Default for Identities<K> {
    fn default() -> Self {
        Self {
            known: HashMap::new(),
            several: Vec::new(),
            objects: Vec::new(),
            in_file: HashMap::new(),
            in_folder: HashMap::new(),
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Occurrence {
    Once(u32, Place),
    /// Index into [`Identities::several`].
    Several(usize),
}

impl<K: Eq + Hash> Identities<K> {
    pub(super) fn add(&mut self, identity: K, number: u32, place: Place, is_workload: bool, folders: &Folders) {
        self.stands(number).place = Some(place);
        let index = match self.known.get(&identity).copied() {
            None => {
                self.known.insert(identity, Occurrence::Once(number, place));
                return;
            }
            Some(Occurrence::Several(index)) => index,
            Some(Occurrence::Once(first, first_place)) => {
                let index = self.several.len();
                let mut versions = Versions::default();
                versions.add(first, first_place, folders);
                self.several.push(versions);
                self.stands(first).versions = Some(index);
                self.note(index, first_place, is_workload);
                self.known.insert(identity, Occurrence::Several(index));
                index
            }
        };
        self.several[index].add(number, place, folders);
        self.stands(number).versions = Some(index);
        self.note(index, place, is_workload);
    }

    /// Records the place of a version of a workload.
    fn note(&mut self, index: usize, place: Place, is_workload: bool) {
        if is_workload {
            self.in_file.entry(place.file).or_default().push(index);
            self.in_folder.entry(place.folder).or_default().push(index);
        }
    }

    /// Whether two places belong to different environments. They do if both files contain versions of one workload.
    /// They also do if both folders contain versions of one workload, and neither folder is inside the other.
    fn are_apart(&self, one: Place, other: Place, folders: &Folders) -> bool {
        let share = |known: &HashMap<u32, Vec<usize>>, [one, other]: [u32; 2], has: fn(&Versions, u32) -> bool| {
            let (Some(own), Some(others)) = (known.get(&one), known.get(&other)) else { return false };
            let (fewer, of) = if own.len() < others.len() { (own, other) } else { (others, one) };
            one != other && fewer.iter().any(|index| self.several.get(*index).is_some_and(|it| has(it, of)))
        };
        if share(&self.in_file, [one.file, other.file], |versions, file| versions.by_file.contains_key(&file)) {
            return true;
        }
        let is_within = |inner: u32, outer: u32| folders.upward(inner).any(|folder| folder == outer);
        let stands_in = |versions: &Versions, folder| matches!(versions.by_folder.get(&folder), Some((0, _)));
        share(&self.in_folder, [one.folder, other.folder], stands_in)
            && !is_within(one.folder, other.folder)
            && !is_within(other.folder, one.folder)
    }

    fn stands(&mut self, number: u32) -> &mut Stands {
        let number = number as usize;
        if self.objects.len() <= number {
            self.objects.resize(number + 1, Stands::default());
        }
        &mut self.objects[number]
    }

    fn versions(&self, number: u32) -> Option<&Versions> {
        self.several.get(self.objects.get(number as usize)?.versions?)
    }

    /// Whether any object has several versions.
    pub(super) fn has_versions(&self) -> bool {
        !self.several.is_empty()
    }

    /// The version of an object that belongs to this place. None if the object has only one version.
    pub(super) fn chosen(&self, number: u32, place: Place, folders: &Folders) -> Option<u32> {
        self.versions(number)?.nearest(place, folders)
    }

    /// Which version of an object `viewer` sees. `place` is the place of the viewer.
    pub(super) fn meant(&self, number: u32, viewer: Option<&Viewer>, place: Place, folders: &Folders) -> Meant {
        let chosen = self.chosen(number, place, folders);
        let other = self.objects.get(chosen.unwrap_or(number) as usize).and_then(|other| other.place);
        let meets = |viewer: &Viewer, other: Place| {
            viewer.meets(other.file, || {
                self.versions(viewer.number).is_none_or(|versions| versions.meet(place, other, folders))
                    && !self.are_apart(place, other, folders)
            })
        };
        match chosen {
            _ if viewer.zip(other).is_some_and(|(viewer, other)| !meets(viewer, other)) => Meant::None,
            Some(copy) => Meant::Copy(copy),
            None => Meant::Itself,
        }
    }

    /// The object of an identity, in the version that belongs to this place.
    pub(super) fn find(&self, identity: &K, place: Place, folders: &Folders) -> Option<u32> {
        match self.known.get(identity)? {
            Occurrence::Once(number, _) => Some(*number),
            Occurrence::Several(index) => self.several.get(*index)?.nearest(place, folders),
        }
    }
}

/// The versions of one object.
#[derive(Debug, Default)]
struct Versions {
    /// The last version in each file, because kubectl applies one after the other.
    by_file: HashMap<u32, u32>,
    /// The nearest version below each folder, with its distance. Of equally near ones the last, as kubectl walks a
    /// folder.
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

    /// Whether the version at `own` may belong to an object at `other`. A version in the same file has priority.
    /// Otherwise the version must be below the nearest folder that contains any version.
    fn meet(&self, own: Place, other: Place, folders: &Folders) -> bool {
        if self.by_file.contains_key(&other.file) {
            return own.file == other.file;
        }
        let level = folders.upward(other.folder).find(|folder| self.by_folder.contains_key(folder));
        level.is_none_or(|level| folders.upward(own.folder).any(|folder| folder == level))
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
            known.add("web", number, place, true, &folders);
        }
        known.add("alone", 7, apart, true, &folders);
        let find = |place| known.find(&"web", place, &folders);
        assert_eq!(places.map(find), [Some(0), Some(3), Some(2), Some(3), Some(4)], "the last one of a file");
        assert_eq!([beside, below, above, apart].map(find), [Some(4), Some(0), Some(4), Some(4)]);
        assert_eq!(known.chosen(0, beside, &folders), Some(4));
        assert_eq!(known.chosen(7, beside, &folders), None);
        assert_eq!(known.find(&"alone", beside, &folders), Some(7));
    }

    /// An object belongs to the versions in its file, or else to those in the nearest folder. No other version sees it.
    #[test]
    fn a_version_sees_what_belongs_to_it() {
        let mut folders = Folders::default();
        let mut at = |file: u32, folder: &str| Place { set: 0, file, folder: folders.number(Path::new(folder)) };
        let versions = [at(0, "/k"), at(1, "/k"), at(2, "/k/dev"), at(3, "/k/dev/eu"), at(4, "/k/prod")];
        let mut others = [at(0, "/k"), at(9, "/k"), at(9, "/k/dev"), at(9, "/k/dev/eu"), at(9, "/shared")];
        others[4].folder = 0;
        let mut known = Identities::default();
        for (number, place) in (0..).zip(versions) {
            known.add("web", number, place, true, &folders);
        }
        for (number, place) in (10..).zip(others) {
            known.add(["a", "b", "c", "d", "e"][number as usize - 10], number, place, false, &folders);
        }
        let sees = |other: u32| {
            let sees = |version: &u32| {
                let place = versions[*version as usize];
                known.meant(other, Some(&Viewer::new(*version)), place, &folders) == Meant::Itself
            };
            (0..5).filter(sees).collect::<Vec<u32>>()
        };
        let expected = [vec![0], vec![0, 1, 2, 3, 4], vec![2, 3], vec![3], vec![0, 1, 2, 3, 4]];
        assert_eq!([10, 11, 12, 13, 14].map(sees), expected);
        // Objects that belong to two different versions do not see each other.
        known.add("f", 15, versions[4], false, &folders);
        assert_eq!(known.meant(15, Some(&Viewer::new(12)), others[2], &folders), Meant::None, "dev and prod");
        assert_eq!(known.meant(15, Some(&Viewer::new(14)), others[4], &folders), Meant::Itself);
        assert_eq!(known.meant(10, None, versions[1], &folders), Meant::Itself, "to what has one version");
        assert_eq!(known.meant(1, Some(&Viewer::new(12)), others[2], &folders), Meant::Copy(2));
    }
}
