//! Probes, lifecycle hooks, and the actions that both have.

use super::check::{exclusive, field, item, need_one};
use crate::formats::names;
use crate::{At, Faults, Rule};

const PROBE: [&str; 4] = ["exec", "httpGet", "tcpSocket", "grpc"];
const HOOK: [&str; 4] = ["exec", "httpGet", "tcpSocket", "sleep"];

/// The three probes of a container.
pub(super) fn probes(container: &At<'_>, faults: &mut Faults) {
    for name in ["livenessProbe", "startupProbe"] {
        let probe = container.at(name);
        if probe.is_present() {
            self::probe(&probe, faults);
            if probe.at("successThreshold").int().unwrap_or(0) != 0 {
                field(&probe, "successThreshold").range(1, 1, faults);
            }
        }
    }
    let readiness = container.at("readinessProbe");
    if readiness.is_present() {
        probe(&readiness, faults);
        field(&readiness, "terminationGracePeriodSeconds").forbid(
            Rule::ExclusiveFields,
            "for a readiness probe, which ends no container",
            faults,
        );
    }
}

fn probe(probe: &At<'_>, faults: &mut Faults) {
    if exclusive(probe, &PROBE, "a probe", faults) == 0 {
        need_one(probe, &PROBE, "a probe", faults);
    }
    actions(probe, faults);
    for name in ["initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"] {
        field(probe, name).least(0, faults);
    }
    field(probe, "terminationGracePeriodSeconds").least(1, faults);
}

/// The hooks of a container, in a Pod with this grace period.
pub(super) fn lifecycle(container: &At<'_>, grace: i64, faults: &mut Faults) {
    let lifecycle = container.at("lifecycle");
    for name in ["postStart", "preStop"] {
        let hook = lifecycle.at(name);
        if hook.is_absent() {
            continue;
        }
        if exclusive(&hook, &HOOK, "a hook", faults) == 0 {
            need_one(&hook, &HOOK, "a hook", faults);
        }
        actions(&hook, faults);
        sleep(&hook.at("sleep"), grace, faults);
    }
}

fn sleep(sleep: &At<'_>, grace: i64, faults: &mut Faults) {
    if sleep.is_absent() {
        return;
    }
    // Since 1.33 a hook may sleep for no time at all.
    let least = if faults.since(33) { 0 } else { 1 };
    let seconds = sleep.at("seconds");
    let value = seconds.int().unwrap_or(0);
    if value < least || value > grace {
        let message = format!(
            "`sleep` takes {value} s, but must take from {least} to {grace} s, the Pod's `terminationGracePeriodSeconds`"
        );
        faults.error(Rule::OutOfRange, &seconds, message, "shorten `seconds`, or lengthen the grace period");
    }
}

/// The actions that are set.
fn actions(handler: &At<'_>, faults: &mut Faults) {
    let exec = handler.at("exec");
    if exec.is_present() && exec.at("command").count() == 0 {
        field(&exec, "command").missing("a list of the program and its arguments", faults);
    }
    let http = handler.at("httpGet");
    if http.is_present() {
        field(&http, "port").need_port_or_name(faults);
        field(&http, "scheme").one_of_or_empty(&["HTTP", "HTTPS"], faults);
        for header in http.at("httpHeaders").items() {
            let name = header.at("name");
            if name.text().is_empty() {
                field(&header, "name").missing("the name of an HTTP header", faults);
            }
            item(&name, "name").form_or_empty(&names::HTTP_HEADER, Rule::InvalidName, faults);
        }
    }
    let tcp = handler.at("tcpSocket");
    if tcp.is_present() {
        field(&tcp, "port").need_port_or_name(faults);
    }
    let grpc = handler.at("grpc");
    if grpc.is_present() {
        field(&grpc, "port").need_port(faults);
    }
}
