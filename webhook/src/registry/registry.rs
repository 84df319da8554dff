//! The registry: the loaded bundles, the resolved PolicySets, and what a review needs of both.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use plimsoll_flat::{Node, Writer};
use plimsoll_sdk::question::{MAX_TEMPLATES, places};
use plimsoll_sdk::version::KubernetesVersion;

use super::documents::Documents;
use super::plan::{Plan, Source};
use super::policy_set::{BundleName, Located, PolicySet};
use super::problem::{ConfigError, Position, Problem};
use super::served::{Unserved, unserved};
use super::{Exemption, Policy, Profile, Selected, Workloads};
use crate::engine::{BUILTIN, Bundle, Engine};
use crate::files;
#[cfg(feature = "manifest")]
use crate::model::Action;
use crate::model::Review;
use crate::registry::{Ground, Recourse};

/// Default Kubernetes version for files, if the user names none.
pub const NEWEST_KUBERNETES: KubernetesVersion = KubernetesVersion::new(1, 37);

/// Maximum number of bundles of a configuration. Each takes memory, and compile time if its code is not cached.
const MAX_BUNDLES: usize = 16;

/// The place where the registry works.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Site {
    /// The webhook. Policies of stage `source` do not run.
    #[default]
    Cluster,
    /// Files. Every mode counts as `enforce`.
    Files,
}

/// Options that are not part of a PolicySet.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Replaces the profile of every set: `--profile`.
    pub profile: Option<Profile>,
    /// In the cluster, the version from `serve`; `kubernetesVersion` of a set overrides it. For files, the version of
    /// the command line, which overrides the sets.
    pub kubernetes_version: Option<String>,
    /// The place where the registry works.
    pub site: Site,
    /// Whether workloads and PodDisruptionBudgets are kept whole, because the server judges them from the watches.
    pub whole_workloads: bool,
}

/// What policies get in addition to a review of an object.
#[derive(Clone, Debug)]
pub struct Environments {
    /// One flat document for each pod template, and one for an object without a template.
    pub each: Vec<Arc<[u8]>>,
    /// Why a policy that looks at pod templates can't judge the object: nothing is at the places that the configuration
    /// names for its kind.
    pub lacks_template: Option<String>,
}

/// Tells which policies apply to what. It never changes: a new configuration is a new registry.
#[derive(Debug)]
pub struct Registry {
    bundles: Vec<Bundle>,
    profiles: Vec<(String, Profile)>,
    plan: Plan,
    workloads: Arc<Workloads>,
    kubernetes_version: KubernetesVersion,
    environment: Arc<[u8]>,
}

impl Registry {
    /// Loads the bundles and checks the sets against them. Without any set, there is one named `default`.
    ///
    /// # Errors
    /// All problems of the sets, in the order of their files.
    pub fn new(engine: &Engine, documents: impl Into<Documents>, options: Options) -> Result<Self, Vec<ConfigError>> {
        Self::with_bundle(engine, BUILTIN, documents, options)
    }

    /// Like [`Registry::new`], but bundles of an earlier registry are not compiled again.
    ///
    /// # Errors
    /// Like [`Registry::new`].
    pub fn reload(
        engine: &Engine,
        compiled: &[Bundle],
        documents: impl Into<Documents>,
        options: Options,
    ) -> Result<Self, Vec<ConfigError>> {
        Self::build(engine, BUILTIN, compiled, documents.into(), options)
    }

    /// Like [`Registry::new`], with another component instead of the built-in bundle.
    ///
    /// # Errors
    /// Like [`Registry::new`].
    pub fn with_bundle(
        engine: &Engine,
        builtin: &[u8],
        documents: impl Into<Documents>,
        options: Options,
    ) -> Result<Self, Vec<ConfigError>> {
        Self::build(engine, builtin, &[], documents.into(), options)
    }

    fn build(
        engine: &Engine,
        builtin: &[u8],
        compiled: &[Bundle],
        documents: Documents,
        options: Options,
    ) -> Result<Self, Vec<ConfigError>> {
        let Documents { mut sets, exemptions, .. } = documents;
        if sets.is_empty() {
            sets.push(PolicySet::new("default", Profile::Default));
        }
        let mut problems = Vec::new();
        for set in &mut sets {
            set.profile = options.profile.unwrap_or(set.profile);
        }
        let profiles = sets.iter().map(|set| (set.name.clone(), set.profile)).collect();
        let kubernetes_version = kubernetes_version(&sets, &options, &mut problems);
        let mut workloads = workloads(&sets, &mut problems);
        let mut loader = Loader { engine, builtin, compiled, bundles: Vec::new() };
        let mut planned = Vec::new();
        for set in sets {
            match loader.load(&set.bundle) {
                Ok(bundle) => planned.push((set, bundle)),
                Err(problem) => problems.push(problem),
            }
        }
        loader.bundles.iter().for_each(|(_, bundle)| workloads.show(bundle.metadata()));
        if options.whole_workloads {
            workloads.show_whole();
        }
        let sources: Vec<_> = loader
            .bundles
            .iter()
            .map(|(path, bundle)| Source { metadata: bundle.metadata(), builtin: path.is_none(), bundle: Some(bundle) })
            .collect();
        let plan = match Plan::new(&sources, &planned, exemptions, options.site == Site::Files, &workloads) {
            Ok(plan) if problems.is_empty() => plan,
            plan => {
                problems.extend(plan.err().into_iter().flatten());
                problems.sort_by(|left, right| left.position.cmp(&right.position));
                return Err(problems);
            }
        };
        let environment = environment(kubernetes_version, &workloads, None, None).map_err(|error| {
            vec![ConfigError {
                position: None,
                problem: Problem::Conflict(format!("the environment is too large: {error}")),
            }]
        })?;
        let bundles = loader.bundles.into_iter().map(|(_, bundle)| bundle).collect();
        Ok(Self { bundles, profiles, plan, workloads: Arc::new(workloads), kubernetes_version, environment })
    }

    /// The name of each PolicySet, with its profile.
    pub fn profiles(&self) -> &[(String, Profile)] {
        &self.profiles
    }

    /// Every bundle in use. `Policy::bundle` is an index of this list.
    pub fn bundles(&self) -> &[Bundle] {
        &self.bundles
    }

    /// Every policy of every bundle, bundle by bundle, whether it is on or not.
    pub fn policies(&self) -> impl Iterator<Item = &Arc<Policy>> {
        self.plan.policies().iter()
    }

    /// The policies that are on in some set.
    pub fn active(&self) -> impl Iterator<Item = &Arc<Policy>> {
        self.plan.active()
    }

    /// The kinds of other objects, `group/Kind`, that active policies may ask for.
    pub fn context_kinds(&self) -> BTreeSet<String> {
        let kinds = self.active().flat_map(|policy| policy.metadata.requires.iter().chain(&policy.metadata.refines));
        let mut kinds: BTreeSet<String> = kinds.cloned().collect();
        if self.workloads.are_asked(kinds.iter().map(String::as_str)) {
            kinds.extend(self.workloads.further().map(str::to_owned));
        }
        kinds
    }

    /// The policies that apply to a review, in the order of [`Registry::policies`].
    pub fn select(&self, review: &Review) -> Vec<Selected> {
        self.plan.select(review)
    }

    /// The maximum action of the category `manifest` on this object, apart from the policies of that category.
    #[cfg(feature = "manifest")]
    pub fn most_of_manifest(&self, review: &Review) -> Action {
        self.plan.most_of_manifest(review)
    }

    /// Ways past a denial for these reasons.
    pub fn recourse(&self, review: &Review, grounds: &[Ground]) -> Recourse {
        self.plan.recourse(review, grounds)
    }

    /// Every PolicyExemption, whether it counts or not.
    pub fn exemptions(&self) -> &[Arc<Exemption>] {
        self.plan.exemptions()
    }

    /// How often two sets would have filled in the same field with different settings, so that neither did.
    pub fn conflicts(&self) -> u64 {
        self.plan.conflicts()
    }

    /// What policies get in addition to the review, as a flat document.
    pub fn environment(&self, review: &Review) -> Arc<[u8]> {
        // The cluster has no objects of kinds that the API server does not serve.
        let unserved = review.is_from_file().then(|| unserved(&review.kind, self.kubernetes_version)).flatten();
        let own = unserved.and_then(|why| environment(self.kubernetes_version, &self.workloads, None, Some(&why)).ok());
        own.unwrap_or_else(|| Arc::clone(&self.environment))
    }

    /// The environments for each pod template of an object. If a kind has several templates, policies judge one after
    /// the other. None if there are more than [`MAX_TEMPLATES`].
    pub fn environments(&self, review: &Review, object: Option<Node<'_>>) -> Option<Environments> {
        let kind = review.kind.group_kind();
        if !self.workloads.further().any(|further| further == kind) {
            return Some(Environments { each: vec![self.environment(review)], lacks_template: None });
        }
        let templates = self.workloads.templates(&kind);
        let places = object.into_iter().flat_map(|object| templates.iter().flat_map(move |it| places(it, object)));
        let places: Vec<String> = places.take(MAX_TEMPLATES + 1).collect();
        if places.len() > MAX_TEMPLATES {
            return None;
        }
        let lacks_template = (object.is_some() && places.is_empty()).then(|| {
            let named = templates.iter().map(|template| template.as_ref()).collect::<Vec<_>>().join(" or ");
            format!("there is no pod template at {named}, where `workloads` of the configuration says that it is")
        });
        // An object without a template still gets findings about the object itself.
        if places.is_empty() || self.workloads.template(&kind).is_some() {
            return Some(Environments { each: vec![self.environment(review)], lacks_template });
        }
        let own =
            |place: &String| environment(self.kubernetes_version, &self.workloads, Some((&kind, place)), None).ok();
        Some(Environments { each: places.iter().filter_map(own).collect(), lacks_template })
    }

    /// The kinds with a pod template.
    pub fn workloads(&self) -> &Arc<Workloads> {
        &self.workloads
    }

    /// The Kubernetes version that policies assume.
    pub fn kubernetes_version(&self) -> KubernetesVersion {
        self.kubernetes_version
    }
}

impl PolicySet {
    /// The file of the set's bundle. None for the built-in bundle.
    pub fn bundle_file(&self) -> Option<PathBuf> {
        match &self.bundle {
            BundleName::Builtin => None,
            BundleName::File(file) => Some(beside(&file.position, &file.value)),
        }
    }
}

/// Loads each bundle once.
struct Loader<'a> {
    engine: &'a Engine,
    builtin: &'a [u8],
    compiled: &'a [Bundle],
    /// Bundles by the path of the file. None stands for the built-in bundle.
    bundles: Vec<(Option<PathBuf>, Bundle)>,
}

impl Loader<'_> {
    fn load(&mut self, name: &BundleName) -> Result<usize, ConfigError> {
        let path = match name {
            BundleName::Builtin => None,
            BundleName::File(file) => Some(beside(&file.position, &file.value)),
        };
        if let Some(known) = self.bundles.iter().position(|(known, _)| *known == path) {
            return Ok(known);
        }
        let refuse = |reason: String| match name {
            BundleName::Builtin => failed(None, "builtin", reason),
            BundleName::File(Located { value, position }) => failed(Some(position.clone()), value, reason),
        };
        if self.bundles.len() >= MAX_BUNDLES {
            return Err(refuse(format!(
                "there are more than {MAX_BUNDLES} bundles, the most that one configuration may name"
            )));
        }
        let read;
        let bytes = match &path {
            None => self.builtin,
            Some(path) => {
                read = files::read(path, files::MAX_BUNDLE)
                    .map_err(|error| refuse(format!("cannot read {}: {error}", path.display())))?;
                &read
            }
        };
        let bundle = Bundle::load_unless_compiled(self.engine, bytes, self.compiled)
            .map_err(|error| refuse(error.to_string()))?;
        self.bundles.push((path, bundle));
        Ok(self.bundles.len() - 1)
    }
}

/// A relative path starts at the folder of the file that contains it.
fn beside(position: &Position, path: &str) -> PathBuf {
    Path::new(&*position.file).parent().unwrap_or(Path::new("")).join(path)
}

fn failed(position: Option<Position>, bundle: &str, reason: String) -> ConfigError {
    ConfigError { position, problem: Problem::Bundle { bundle: bundle.to_owned(), reason } }
}

/// All sets share one environment, so their versions must agree.
fn kubernetes_version(sets: &[PolicySet], options: &Options, problems: &mut Vec<ConfigError>) -> KubernetesVersion {
    let mut stated = sets.iter().filter_map(|set| set.kubernetes_version.as_ref());
    let first = stated.next();
    for other in stated.filter(|other| first.is_some_and(|first| first.value != other.value)) {
        let Some(first) = first else { continue };
        let problem = format!(
            "`kubernetesVersion` is {}, but {} at {}; there is one cluster",
            other.value, first.value, first.position
        );
        problems.push(ConfigError { position: Some(other.position.clone()), problem: Problem::Conflict(problem) });
    }
    let given = options.kubernetes_version.as_deref().filter(|text| !text.is_empty());
    let option = given.map(|text| KubernetesVersion::parse(text).ok_or(text));
    if let Some(Err(text)) = option {
        let problem = format!("{text:?} is not a version of Kubernetes, such as 1.34");
        problems.push(ConfigError { position: None, problem: Problem::Conflict(problem) });
    }
    let (option, set) = (option.and_then(Result::ok), first.map(|first| first.value));
    let order = if options.site == Site::Files { [option, set] } else { [set, option] };
    order.into_iter().flatten().next().unwrap_or(NEWEST_KUBERNETES)
}

/// The built-in kinds with a pod template, and the further ones of the sets.
fn workloads(sets: &[PolicySet], problems: &mut Vec<ConfigError>) -> Workloads {
    let mut workloads = Workloads::default();
    for further in sets.iter().flat_map(|set| &set.workloads) {
        if let Err(problem) = workloads.add(&further.value) {
            problems.push(ConfigError { position: Some(further.position.clone()), problem });
        }
    }
    workloads
}

fn environment(
    version: KubernetesVersion,
    workloads: &Workloads,
    own: Option<(&str, &str)>,
    unserved: Option<&Unserved>,
) -> Result<Arc<[u8]>, plimsoll_flat::Error> {
    let mut writer = Writer::new();
    writer.begin_object();
    writer.key("kubernetesVersion");
    writer.string(&version.to_patch());
    if let Some(unserved) = unserved {
        unserved.write(&mut writer);
    }
    workloads.write(&mut writer, own);
    writer.end();
    Ok(writer.finish()?.into())
}

#[cfg(test)]
#[path = "registry_tests.rs"]
mod tests;
