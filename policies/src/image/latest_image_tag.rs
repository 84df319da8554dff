use plimsoll_sdk::image::Reference;
use plimsoll_sdk::prelude::*;
use plimsoll_sdk::workload::PodTemplate;

/// Settings of `latest-image-tag`.
#[derive(Debug, Settings)]
pub struct Settings {
    /// Repositories, without a tag, whose images need no fixed tag; `*` at the end matches any rest.
    #[settings(default = [])]
    allowed: Vec<String>,
}

/// Images without a fixed tag.
///
/// ## What it finds
/// An image reference has neither a tag nor a digest, or it has the tag `latest`. The policy looks at app containers,
/// native sidecars, init containers and ephemeral containers, and at volumes that mount an image
/// (`volumes[*].image.reference`).
///
/// It parses the reference as container runtimes do. In `localhost:5000/app` the number is a port, so the image has no
/// tag. In `app:latest@sha256:…` the digest decides. The policy skips text that is not a reference, such as a template
/// that was not filled in (`app:${TAG}`).
///
/// ## Why
/// `latest` is the image that was pushed last. Two Pods of one Deployment can run different programs. A rollback to an
/// earlier revision pulls the broken image again. Later it is unknown which program was running.
///
/// ## What to write
/// A tag that never moves, `registry.example.com/app:1.4.2`, or a digest, `app@sha256:…`.
///
/// ## Settings
/// `allowed` lists repositories to skip, as they appear in manifests or in full: `nginx` and `docker.io/library/nginx`
/// are the same. `registry.example.com/sandbox/*` allows all repositories that begin with this prefix.
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
        let tag = if reference.tag.is_some() { "the tag `latest`" } else { "no tag, so it is `latest`" };
        let message = format!("the image of {} has {tag}: every push changes what new Pods run", image.describe());
        findings.error(
            &image.reference,
            message,
            "write a tag that never moves, such as :1.4.2, or a digest (@sha256:…)",
        );
    }
}

impl Settings {
    fn allow(&self, reference: &Reference<'_>) -> bool {
        let name = full_name(reference);
        self.allowed.iter().any(|allowed| match allowed.strip_suffix('*') {
            // A prefix may end anywhere, so it is not parsed. It matches the start of the written name or of the full
            // name.
            Some(prefix) => name.starts_with(prefix) || short_name(reference).starts_with(prefix),
            None => Reference::parse(allowed).is_some_and(|allowed| full_name(&allowed) == name),
        })
    }
}

/// The name as written, such as `registry.example.com/team/app`.
fn short_name(reference: &Reference<'_>) -> String {
    match reference.registry {
        Some(registry) => format!("{registry}/{}", reference.repository),
        None => reference.repository.to_owned(),
    }
}

/// The full name with implied parts, such as `docker.io/library/nginx`.
fn full_name(reference: &Reference<'_>) -> String {
    let registry = reference.registry_or_default();
    let is_official = registry == "docker.io" && !reference.repository.contains('/');
    format!("{registry}/{}{}", if is_official { "library/" } else { "" }, reference.repository)
}
