//! A drain that never ends, and how it comes to end: with evictions by the API server itself.

use anyhow::{Result, ensure};
use plimsoll_tests::{Eviction, evict, running_pod, until_counted};

use crate::cluster::Cluster;
use crate::{Demo, text};

const FILE: &str = "drain.yaml";
const SELECTOR: &str = "app=statistics";
/// Where the autoscaler stops.
const PODS: usize = 2;

/// Without Plimsoll the set is admitted, and none of its Pods may leave its node.
pub(crate) fn before(demo: &Demo, cluster: &Cluster) -> Result<()> {
    demo.step("0. Without Plimsoll: the guides' own set is admitted, and from then on no node can be emptied")?;
    ensure!(demo.apply(cluster, &demo.path(FILE))?.status.success(), "the API server refused it");
    let refused = evict_one(demo, cluster)?;
    ensure!(refused.status == 429, "the API server answered {}: {}", refused.status, refused.message);
    demo.command(&format!("kubectl delete -f {}", demo.path(FILE)))?;
    demo.say(cluster.kubectl().ok(&["delete", "-f", &demo.path(FILE)])?.trim_end())
}

/// With Plimsoll it is refused, mended, and lets one Pod go. Without controllers nothing makes Pods to evict.
pub(crate) fn after(demo: &Demo, cluster: &Cluster, evictions: bool) -> Result<()> {
    demo.step("6. With Plimsoll that set is refused, with the sentence that explains it")?;
    let refused = demo.apply(cluster, &demo.path(FILE))?;
    let reasons: Vec<_> = plimsoll_tests::denied_policies(&refused.stderr).into_iter().flatten().collect();
    ensure!(reasons == ["drain-deadlock"], "refused for {reasons:?}");

    demo.step("7. `plimsoll check --fix=unsafe` mends it")?;
    let mended = demo.scratch.path().join(FILE);
    std::fs::copy(demo.path(FILE), &mended)?;
    let status = demo.check(&["--world", "closed", "--fix=unsafe", "--quiet", &text(&mended)])?;
    ensure!(status == Some(0), "exit status {status:?}");
    demo.git_diff(&demo.path(FILE), &text(&mended))?;
    ensure!(demo.apply(cluster, &text(&mended))?.status.success(), "it was refused");
    if !evictions {
        return demo.say(
            "The eviction itself is shown by `make demo` on its own API server: here a kubelet would have to run the \
             images, which do not exist.",
        );
    }
    demo.say("And the eviction that was refused before:")?;
    let evicted = evict_one(demo, cluster)?;
    ensure!(evicted.status == 201, "the API server answered {}: {}", evicted.status, evicted.message);
    Ok(())
}

fn evict_one(demo: &Demo, cluster: &Cluster) -> Result<Eviction> {
    let kubectl = cluster.kubectl();
    until_counted(kubectl, SELECTOR, PODS)?;
    let pod = running_pod(kubectl, SELECTOR)?;
    demo.say(&format!(
        "(There is no kubelet here: that the {PODS} Pods are ready is written into their status. Now as `kubectl drain` \
         asks:)"
    ))?;
    let path = format!("/api/v1/namespaces/{}/pods/{pod}/eviction", kubectl.namespace().unwrap_or_default());
    demo.command(&format!("kubectl create --raw {path} -f eviction.json"))?;
    let eviction = evict(kubectl, &pod)?;
    demo.say(&eviction.message)?;
    Ok(eviction)
}
