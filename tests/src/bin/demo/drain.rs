//! A budget that no drain can satisfy. The API server itself answers the evictions.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use plimsoll_tests::{Eviction, evict, running_pod, until_counted};

use crate::cluster::Cluster;
use crate::{Demo, text};

const FILE: &str = "drain.yaml";
const SELECTOR: &str = "app=statistics";
/// `minReplicas` of the autoscaler.
const PODS: usize = 2;

/// Without the webhook: the API server accepts the budget, and then refuses an eviction. With the mended budget the
/// eviction succeeds.
///
/// Without `evictions` only the files are shown. The set is deleted at the end.
pub(crate) fn without_webhook(demo: &Demo, cluster: &Cluster, evictions: bool) -> Result<()> {
    demo.step("1. A drain is refused, although nothing seems wrong")?;
    if evictions {
        demo.say("A Deployment, its autoscaler (2 to 10 Pods) and its disruption budget. Plimsoll does not run yet.")?;
        ensure!(demo.apply(cluster, &demo.path(FILE))?.status.success(), "the API server refused {FILE}");
        let refused = evict_one(demo, cluster)?;
        ensure!(refused.status == 429, "the API server answered {}: {}", refused.status, refused.message);
        demo.say("`kubectl drain` repeats this request for ever. `plimsoll check` finds the cause in the files:")?;
    } else {
        demo.say(
            "This cluster has nodes. Their kubelets can't run these images, because the images do not exist. So the \
             evictions are left out here; `make demo` shows them on its own API server. `plimsoll check` finds the \
             cause in the files:",
        )?;
    }
    let status = demo.check(&["--world", "closed", "--quiet", &demo.path(FILE)])?;
    ensure!(status == Some(1), "exit status {status:?} instead of 1");

    demo.say("\n`--fix=unsafe` mends the budget. (`unsafe` means: the fix changes a value that the author chose.)")?;
    let mended = mended(demo);
    std::fs::copy(demo.path(FILE), &mended)?;
    let status = demo.check(&["--world", "closed", "--fix=unsafe", "--quiet", &text(&mended)])?;
    ensure!(status == Some(0), "exit status {status:?} instead of 0");
    demo.git_diff(&demo.path(FILE), &text(&mended))?;
    if !evictions {
        return Ok(());
    }
    demo.say("\nWith the mended budget, the same eviction succeeds:")?;
    ensure!(demo.apply(cluster, &text(&mended))?.status.success(), "the API server refused the mended budget");
    let evicted = evict_one(demo, cluster)?;
    ensure!(evicted.status == 201, "the API server answered {}: {}", evicted.status, evicted.message);
    // The next step creates the same objects. It must not meet ReplicaSets and Pods of this one.
    demo.command(&format!("kubectl delete -f {}", demo.path(FILE)))?;
    let set = demo.path(FILE);
    demo.say(cluster.kubectl().ok(&["delete", "--cascade=foreground", "--timeout=60s", "-f", &set])?.trim_end())
}

/// With the webhook: the budget is refused as soon as it is applied, and the mended budget is accepted.
pub(crate) fn with_webhook(demo: &Demo, cluster: &Cluster) -> Result<()> {
    demo.say("The set of step 1 again. Now the budget is refused before it can block a drain:")?;
    let refused = demo.apply(cluster, &demo.path(FILE))?;
    let reasons: Vec<_> = plimsoll_tests::denied_policies(&refused.stderr).into_iter().flatten().collect();
    ensure!(reasons == ["drain-deadlock"], "refused for {reasons:?}");
    demo.say("\nThe mended budget is accepted:")?;
    ensure!(demo.apply(cluster, &text(&mended(demo)))?.status.success(), "the mended budget was refused");
    Ok(())
}

fn mended(demo: &Demo) -> PathBuf {
    demo.scratch.path().join(FILE)
}

fn evict_one(demo: &Demo, cluster: &Cluster) -> Result<Eviction> {
    let kubectl = cluster.kubectl();
    until_counted(kubectl, SELECTOR, PODS)?;
    let pod = running_pod(kubectl, SELECTOR)?;
    demo.say(&format!(
        "(No kubelet runs here, so the demo itself marks the {PODS} Pods as ready. The next request evicts one of them, \
         as `kubectl drain` would.)"
    ))?;
    let path = format!("/api/v1/namespaces/{}/pods/{pod}/eviction", kubectl.namespace().unwrap_or_default());
    demo.command(&format!("kubectl create --raw {path} -f eviction.json"))?;
    let eviction = evict(kubectl, &pod)?;
    demo.say(&eviction.message)?;
    Ok(eviction)
}
