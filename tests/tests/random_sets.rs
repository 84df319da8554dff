//! Random sets of a workload, a budget, an autoscaler and a Service, against models that were written from the controllers'
//! code alone: `pkg/controller/disruption`, `ResolveFenceposts` of `pkg/controller/deployment/util`, `calculateRequests` of
//! `pkg/controller/podautoscaler`, and the Pod Security Standards for Windows.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use plimsoll_tests::strict_report;
use serde_json::{Value, json};

const SETS: usize = 3000;

/// The same numbers in every run (SplitMix64).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    fn one_in(&mut self, bound: u64) -> bool {
        self.below(bound) == 0
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[usize::try_from(self.below(from.len() as u64)).unwrap_or_default()].clone()
    }
}

/// A number, or a percentage, as manifests have both.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Amount {
    Number(i64),
    Percent(i64),
}

impl Amount {
    fn value(self) -> Value {
        match self {
            Amount::Number(number) => json!(number),
            Amount::Percent(percent) => json!(format!("{percent}%")),
        }
    }

    /// `GetScaledValueFromIntOrPercent`.
    fn scaled(self, total: i64, up: bool) -> i64 {
        match self {
            Amount::Number(number) => number,
            Amount::Percent(percent) if up => (percent * total + 99) / 100,
            Amount::Percent(percent) => percent * total / 100,
        }
    }
}

#[derive(Clone, Debug)]
struct Container {
    requests: BTreeSet<&'static str>,
    limits: BTreeSet<&'static str>,
    /// An init container that stays.
    is_sidecar: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Metric {
    Utilization(&'static str),
    AverageValue,
    OfContainer(&'static str, usize),
}

#[derive(Clone, Debug)]
struct Set {
    kind: &'static str,
    replicas: Option<i64>,
    surge: Option<Amount>,
    unavailable: Option<Amount>,
    containers: Vec<Container>,
    /// What the Pod requests as a whole.
    of_pod: BTreeSet<&'static str>,
    windows: Option<&'static str>,
    /// Minimum, maximum, what it measures.
    autoscaler: Option<(Option<i64>, i64, Metric)>,
    /// The field and its value.
    budget: Option<(&'static str, Amount)>,
    is_served: bool,
}

const RESOURCES: [&str; 2] = ["cpu", "memory"];

impl Set {
    fn random(random: &mut Random) -> Self {
        let kind = random.pick(&["Deployment", "Deployment", "StatefulSet", "DaemonSet"]);
        let amounts: Vec<Amount> = [0, 1, 2, 3]
            .map(Amount::Number)
            .into_iter()
            .chain([1, 10, 25, 34, 50, 67, 100].map(Amount::Percent))
            .collect();
        let some = |random: &mut Random| (!random.one_in(4)).then(|| random.pick(&amounts));
        let (surge, mut unavailable) = (some(random), some(random));
        // The API server refuses both as 0.
        let is_zero = |amount: Option<Amount>| amount == Some(Amount::Number(0));
        if is_zero(surge) && is_zero(unavailable) {
            unavailable = None;
        }
        let containers: Vec<Container> = (0..=random.below(3))
            .map(|number| {
                let mut some = || RESOURCES.into_iter().filter(|_| !random.one_in(4)).collect();
                let (requests, limits) = (some(), some());
                let limits = if random.one_in(2) { limits } else { BTreeSet::new() };
                Container { requests, limits, is_sidecar: number > 0 && random.one_in(3) }
            })
            .collect();
        let count = containers.len() as u64;
        let autoscaler = (kind != "DaemonSet" && random.one_in(2)).then(|| {
            let least = (!random.one_in(4)).then(|| 1 + random.below(4) as i64);
            let resource = random.pick(&RESOURCES);
            let metric = match random.below(4) {
                0 => Metric::AverageValue,
                1 => Metric::OfContainer(resource, random.below(count) as usize),
                _ => Metric::Utilization(resource),
            };
            (least, least.unwrap_or(1) + random.below(3) as i64, metric)
        });
        let budget = (!random.one_in(3)).then(|| {
            let field = random.pick(&["minAvailable", "maxUnavailable"]);
            (field, random.pick(&amounts))
        });
        // How many Pods a DaemonSet has nobody knows without its nodes.
        let budget = budget.filter(|(field, amount)| {
            kind != "DaemonSet" || *field == "maxUnavailable" || matches!(amount, Amount::Percent(_))
        });
        let windows = random.one_in(4).then(|| random.pick(&["os", "nodeSelector"]));
        // Not for Windows: the API server refuses it there.
        let has_of_pod = windows.is_none() && random.one_in(3);
        let of_pod = RESOURCES.into_iter().filter(|_| has_of_pod && random.one_in(2)).collect();
        Self {
            kind,
            replicas: (!random.one_in(5)).then(|| 1 + random.below(7) as i64),
            surge,
            unavailable,
            containers,
            of_pod,
            windows,
            autoscaler,
            budget,
            is_served: random.one_in(2),
        }
    }

    fn objects(&self, number: usize) -> Vec<Value> {
        let metadata = json!({"name": "web", "namespace": format!("s{number}")});
        let selector = json!({"matchLabels": {"app": "web"}});
        let (mut containers, mut sidecars) = (Vec::new(), Vec::new());
        for (number, container) in self.containers.iter().enumerate() {
            let amounts = |of: &BTreeSet<&'static str>, factor: i64| -> Value {
                let amount = |resource: &&'static str| match *resource {
                    "cpu" => ((*resource).to_owned(), json!(format!("{}m", 100 * factor))),
                    resource => (resource.to_owned(), json!(format!("{}Mi", 64 * factor))),
                };
                Value::Object(of.iter().map(amount).collect())
            };
            let mut value = json!({
                "name": format!("c{number}"), "image": "registry.example.com/web:1.4.2",
                "resources": {"requests": amounts(&container.requests, 1), "limits": amounts(&container.limits, 2)},
            });
            if container.is_sidecar {
                value["restartPolicy"] = json!("Always");
                sidecars.push(value);
            } else {
                containers.push(value);
            }
        }
        let mut pod = json!({"containers": containers, "initContainers": sidecars});
        if !self.of_pod.is_empty() {
            let amount = |name: &&'static str| ((*name).to_owned(), json!(if *name == "cpu" { "2" } else { "2Gi" }));
            pod["resources"]["requests"] = Value::Object(self.of_pod.iter().map(amount).collect());
        }
        match self.windows {
            Some("os") => pod["os"] = json!({"name": "windows"}),
            Some(_) => pod["nodeSelector"] = json!({"kubernetes.io/os": "windows"}),
            None => {}
        }
        let mut workload = json!({
            "apiVersion": "apps/v1", "kind": self.kind, "metadata": metadata,
            "spec": {"selector": selector, "template": {"metadata": {"labels": {"app": "web"}}, "spec": pod}},
        });
        if let Some(replicas) = self.replicas.filter(|_| self.kind != "DaemonSet") {
            workload["spec"]["replicas"] = json!(replicas);
        }
        if self.kind == "StatefulSet" {
            workload["spec"]["serviceName"] = json!("web");
        }
        if self.kind == "Deployment" {
            for (field, amount) in [("maxSurge", self.surge), ("maxUnavailable", self.unavailable)] {
                if let Some(amount) = amount {
                    workload["spec"]["strategy"]["rollingUpdate"][field] = amount.value();
                }
            }
        }
        let mut objects = vec![workload];
        if let Some((least, most, metric)) = self.autoscaler {
            let share = json!({"type": "Utilization", "averageUtilization": 70});
            let metric = match metric {
                Metric::Utilization(name) => json!({"type": "Resource", "resource": {"name": name, "target": share}}),
                Metric::AverageValue => json!({
                    "type": "Resource",
                    "resource": {"name": "cpu", "target": {"type": "AverageValue", "averageValue": "100m"}},
                }),
                Metric::OfContainer(name, container) => json!({
                    "type": "ContainerResource",
                    "containerResource": {"name": name, "container": format!("c{container}"), "target": share},
                }),
            };
            let mut spec = json!({
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": self.kind, "name": "web"},
                "maxReplicas": most, "metrics": [metric],
            });
            if let Some(least) = least {
                spec["minReplicas"] = json!(least);
            }
            objects.push(json!({
                "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": metadata, "spec": spec,
            }));
        }
        if let Some((field, amount)) = self.budget {
            let spec = json!({"selector": selector, field: amount.value()});
            objects.push(json!({
                "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": metadata, "spec": spec,
            }));
        }
        if self.is_served {
            let spec = json!({"selector": {"app": "web"}, "ports": [{"port": 80}]});
            objects.push(json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}));
        }
        objects
    }

    /// How many Pods there are when the autoscaler has nothing to do.
    fn pods(&self) -> i64 {
        match self.autoscaler {
            Some((least, ..)) => least.unwrap_or(1),
            None => self.replicas.unwrap_or(1),
        }
    }

    /// `updatePdbStatus` with all Pods healthy.
    fn lets_none_go(&self) -> bool {
        let Some((field, amount)) = self.budget else { return false };
        // `getExpectedScale`: "does not implement the scale subresource", and the disruptions allowed stay 0.
        if self.kind == "DaemonSet" {
            return true;
        }
        let expected = self.pods();
        let desired = match field {
            "maxUnavailable" => (expected - amount.scaled(expected, true)).max(0),
            _ => amount.scaled(expected, true),
        };
        expected - desired <= 0
    }

    /// `ResolveFenceposts`, with the API's defaults: how many Pods are away in an update, and whether the controller
    /// insists on one.
    fn away(&self) -> (i64, bool) {
        let default = Amount::Percent(25);
        let surge = self.surge.unwrap_or(default).scaled(self.pods(), true);
        match self.unavailable.unwrap_or(default).scaled(self.pods(), false) {
            0 if surge == 0 => (1, true),
            unavailable => (unavailable, false),
        }
    }

    /// `calculateRequests`, after a limit has become a request where there is none.
    fn is_not_computable(&self) -> bool {
        let has = |container: &Container, resource| {
            container.requests.contains(resource) || container.limits.contains(resource)
        };
        match self.autoscaler {
            // `calculatePodLevelRequests`, where the Pod as a whole requests anything: what containers request is added up
            // for what it does not request.
            Some((.., Metric::Utilization(resource))) if !self.of_pod.is_empty() => {
                !self.of_pod.contains(resource) && !self.containers.iter().any(|one| has(one, resource))
            }
            Some((.., Metric::Utilization(resource))) => self.containers.iter().any(|one| !has(one, resource)),
            Some((.., Metric::OfContainer(resource, number))) => !has(&self.containers[number], resource),
            _ => false,
        }
    }

    /// What is to be found, and what is not.
    fn expected(&self) -> Vec<(&'static str, bool)> {
        let is_rolling = self.kind == "Deployment";
        let (away, is_forced) = self.away();
        let leaves_none = is_rolling && self.pods() - away <= 0;
        let (least, most) = self.autoscaler.map_or((0, 1), |(least, most, _)| (least.unwrap_or(1), most));
        vec![
            ("drain-deadlock", self.lets_none_go()),
            ("rollout-rounding-surprise", is_rolling && is_forced && !leaves_none),
            ("autoscaler-without-requests", self.is_not_computable()),
            ("autoscaler-without-room", least == most),
            ("privilege-escalation", self.windows.is_none()),
            ("missing-seccomp-profile", self.windows.is_none()),
        ]
    }

    /// `rollout-without-capacity`: how bad, if no Pod is left.
    fn without_capacity(&self) -> Option<&'static str> {
        let (away, _) = self.away();
        let leaves_none = self.kind == "Deployment" && self.pods() - away <= 0;
        leaves_none.then_some(match (self.is_served, self.pods()) {
            (false, _) => "info",
            (true, 1) => "warning",
            (true, _) => "error",
        })
    }
}

#[test]
fn findings_are_what_the_controllers_do() -> Result<()> {
    let mut random = Random(20_261_129);
    let sets: Vec<Set> = (0..SETS).map(|_| Set::random(&mut random)).collect();
    let folder = tempfile::tempdir()?;
    for (number, set) in sets.iter().enumerate() {
        let own = folder.path().join("k").join(number.to_string());
        std::fs::create_dir_all(&own)?;
        let text: String = set.objects(number).iter().map(|object| format!("{object}\n")).collect();
        std::fs::write(own.join("set.yaml"), text)?;
    }
    let report = strict_report(folder.path())?;
    let mut found = BTreeMap::<usize, Vec<(&str, &str, &str)>>::new();
    for finding in report["findings"].as_array().context("no findings")? {
        let text = |name: &str| finding[name].as_str().unwrap_or_default();
        let number = text("file").split('/').nth(1).and_then(|part| part.parse().ok()).context("a number")?;
        found.entry(number).or_default().push((text("policy"), text("severity"), text("message")));
    }
    let (mut wrong, mut seen) = (Vec::new(), BTreeMap::<(&str, bool), usize>::new());
    for (number, set) in sets.iter().enumerate() {
        let found = found.remove(&number).unwrap_or_default();
        let mut differs = |what: String| wrong.push(format!("{number}: {what}\n{set:?}\n{found:?}"));
        for (policy, is_expected) in set.expected() {
            *seen.entry((policy, is_expected)).or_default() += 1;
            if found.iter().any(|(found, ..)| *found == policy) != is_expected {
                differs(format!("{policy}: expected {is_expected}"));
            }
        }
        let expected = set.without_capacity();
        *seen.entry(("rollout-without-capacity", expected.is_some())).or_default() += 1;
        let said = found
            .iter()
            .find(|(policy, _, message)| *policy == "rollout-without-capacity" && message.contains("leaving 0"))
            .map(|(_, severity, _)| *severity);
        if said != expected {
            differs(format!("rollout-without-capacity: expected {expected:?}"));
        }
    }
    let count = wrong.len();
    ensure!(count == 0, "{count} differences, the first of them:\n{}", wrong[..count.min(5)].join("\n\n"));
    // A model that never says yes, or never no, compares nothing.
    ensure!(seen.len() == 14 && seen.values().all(|count| *count > 10), "{seen:?}");
    Ok(())
}
