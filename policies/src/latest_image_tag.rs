use plimsoll_sdk::image::Reference;
use plimsoll_sdk::prelude::*;

/// Images without a fixed tag.
///
/// ## What it finds
/// An image reference with neither a tag nor a digest, or with the tag `latest`, in any container. The reference is
/// parsed as container runtimes parse it: in `localhost:5000/app` the number is a port, so the image has no tag.
///
/// ## Why
/// `latest` is whatever was pushed last. Two Pods of one Deployment can run different programs, a rollback to an
/// earlier revision pulls the image that broke, and nobody can say afterwards what was running.
///
/// ## What to write
/// A tag that is never moved, `registry.example.com/app:1.4.2`, or a digest, `app@sha256:…`.
#[policy(category = "image", on = Workloads, severity = Error, since = "0.1.0", subresources = ["ephemeralcontainers"])]
pub fn latest_image_tag(review: &Review, findings: &mut Findings) {
    for container in review.containers() {
        let image = container.at("image");
        let Some(reference) = image.as_str().and_then(Reference::parse) else { continue };
        if reference.is_mutable_latest() {
            let wrong = match reference.tag {
                Some(_) => "the tag `latest` is whatever was pushed last",
                None => "the image has no tag, so it is `latest`: whatever was pushed last",
            };
            findings.error(&image, format!("{}: {wrong}", container.describe()), "name a tag that is never moved, or a digest");
        }
    }
}
