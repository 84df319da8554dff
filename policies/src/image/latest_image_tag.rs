use plimsoll_sdk::image::Reference;
use plimsoll_sdk::prelude::*;
use plimsoll_sdk::workload::PodTemplate;

/// Settings of `latest-image-tag`.
#[derive(Debug, Settings)]
pub struct Settings {
    /// Repositories whose images may stay without a fixed tag, without tag; `*` at the end stands for any rest.
    #[settings(default = [])]
    allowed: Vec<String>,
}

/// Images without a fixed tag.
///
/// ## What it finds
/// An image reference with neither a tag nor a digest, or with the tag `latest`, in app containers, native sidecars, init
/// containers and ephemeral containers, and in volumes that mount an image (`volumes[*].image.reference`). The reference is parsed as container runtimes parse it: in `localhost:5000/app`
/// the number is a port, so the image has no tag; in `app:latest@sha256:…` the digest decides. What is no reference, such
/// as a template that nobody filled in (`app:${TAG}`), is passed over here.
///
/// ## Why
/// `latest` is whatever was pushed last. Two Pods of one Deployment can run different programs, a rollback to an
/// earlier revision pulls the image that broke, and nobody can say afterwards what was running.
///
/// ## What to write
/// A tag that is never moved, `registry.example.com/app:1.4.2`, or a digest, `app@sha256:…`.
///
/// ## Settings
/// `allowed` lists repositories to pass over, as they stand in manifests or in full: `nginx` and
/// `docker.io/library/nginx` are the same. `registry.example.com/sandbox/*` allows all that begins so.
#[policy(
    on = Workloads, severity = Error, since = "0.1.0", subresources = ["ephemeralcontainers"],
    default = Warn,
    covers = ["img-tag-latest"]
)]
pub fn latest_image_tag(review: &Review, settings: &Settings, findings: &mut Findings) {
    for image in review.template().into_iter().flat_map(PodTemplate::images) {
        let Some(reference) = image.reference.as_str().and_then(Reference::parse) else { continue };
        if !reference.is_mutable_latest() || settings.allow(&reference) {
            continue;
        }
        let wrong = match reference.tag {
            Some(_) => "the tag `latest` is whatever was pushed last",
            None => "the image has no tag, so it is `latest`: whatever was pushed last",
        };
        let message = format!("{}: {wrong}", image.describe());
        findings.error(
            &image.reference,
            message,
            "write a tag that is never moved, such as :1.4.2, or a digest (@sha256:…)",
        );
    }
}

impl Settings {
    fn allow(&self, reference: &Reference<'_>) -> bool {
        let name = full_name(reference);
        self.allowed.iter().any(|allowed| match allowed.strip_suffix('*') {
            // A prefix may end anywhere, so it is not parsed: it counts as it stands, or as the full name begins.
            Some(prefix) => name.starts_with(prefix) || short_name(reference).starts_with(prefix),
            None => Reference::parse(allowed).is_some_and(|allowed| full_name(&allowed) == name),
        })
    }
}

/// `registry.example.com/team/app`, as it is written.
fn short_name(reference: &Reference<'_>) -> String {
    match reference.registry {
        Some(registry) => format!("{registry}/{}", reference.repository),
        None => reference.repository.to_owned(),
    }
}

/// The same with all that is implied: `docker.io/library/nginx`.
fn full_name(reference: &Reference<'_>) -> String {
    let registry = reference.registry_or_default();
    let is_official = registry == "docker.io" && !reference.repository.contains('/');
    format!("{registry}/{}{}", if is_official { "library/" } else { "" }, reference.repository)
}
