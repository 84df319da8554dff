//! What `plimsoll-manifest` says about an object is what the API server says about it.
//!
//! Valid objects of every kind are changed at random, and each mutant is sent to the API server as a dry run.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use plimsoll_flat::{Node, json};
use plimsoll_manifest::{Known, Severity, Version, judge};
use plimsoll_tests::{ControlPlane, Kubectl, Mutant, Mutants, Options, Process, objects, until};
use serde_json::Value;

/// Number of mutants. `PLIMSOLL_TEST_MUTANTS` may ask for more.
const MUTANTS: usize = 20_000;
/// Seed of the mutants. `PLIMSOLL_TEST_SEED` may name another.
const SEED: u64 = 15;
/// How many connections send mutants at once.
const CONNECTIONS: usize = 8;
/// At most one refusal in so many may be missed.
const MISSED: usize = 100;

#[test]
fn valid_objects_have_no_faults() -> Result<()> {
    for object in objects()? {
        if let Some(fault) = refusal(&object)? {
            anyhow::bail!("{} {}: {fault}", object["kind"], object["metadata"]["name"]);
        }
    }
    Ok(())
}

#[test]
fn the_verdict_on_mutants_is_that_of_the_api_server() -> Result<()> {
    // The account of a Pod depends on another object.
    let arguments = vec!["--disable-admission-plugins=ServiceAccount".to_owned()];
    let control_plane = ControlPlane::start(&Options { api_server_arguments: arguments, ..Options::default() })?;
    let server = Server::of(&control_plane)?;
    let count = from_environment("PLIMSOLL_TEST_MUTANTS")?.unwrap_or(MUTANTS);
    let seed = from_environment("PLIMSOLL_TEST_SEED")?.unwrap_or(SEED);

    let objects = objects()?;
    let whole = objects.iter().map(|object| Mutant { object: object.clone(), change: "nothing".to_owned() });
    let all: Vec<Mutant> = whole.chain(Mutants::new(objects.clone(), seed).take(count)).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().worker_threads(2).build()?;
    let verdicts = runtime.block_on(server.ask(all))?;
    verdicts.check(&objects)
}

/// What the API server said, beside what we say.
#[derive(Default)]
struct Verdicts {
    refused: usize,
    accepted: usize,
    /// Accepted by the API server and refused by us.
    false_refusals: Vec<String>,
    /// Refused by the API server and accepted by us.
    missed: Vec<String>,
}

impl Verdicts {
    fn add(&mut self, mutant: &Mutant, answer: &Answer, ours: Option<String>) {
        let Some(refused) = answer.refused() else { return };
        let what =
            |said: &str| format!("{}: {}\n    {said}\n    {}", mutant.object["kind"], mutant.change, mutant.object);
        match (refused, ours) {
            (true, None) => self.missed.push(what(&answer.message)),
            (false, Some(fault)) => self.false_refusals.push(what(&fault)),
            _ => {}
        }
        *(if refused { &mut self.refused } else { &mut self.accepted }) += 1;
    }

    #[expect(clippy::print_stdout, reason = "the figures of the test")]
    fn check(&self, objects: &[Value]) -> Result<()> {
        let (refused, missed) = (self.refused, self.missed.len());
        println!(
            "{} objects: {} mutants accepted, {refused} refused, {missed} refusals missed, {} refused falsely",
            objects.len(),
            self.accepted,
            self.false_refusals.len()
        );
        let show = |list: &[String]| list.iter().take(20).cloned().collect::<Vec<_>>().join("\n");
        ensure!(self.accepted > 0 && refused > 0, "the API server judged nothing");
        ensure!(self.false_refusals.is_empty(), "refused, but the API server accepts:\n{}", show(&self.false_refusals));
        ensure!(missed * MISSED <= refused, "accepted, but the API server refuses:\n{}", show(&self.missed));
        Ok(())
    }
}

/// The first error that we find.
fn refusal(object: &Value) -> Result<Option<String>> {
    let document = json::from_json(object.to_string().as_bytes())?;
    let judgement = judge(Node::root(&document)?, Version { minor: 36 });
    // A group of another project: the API server of the tests does not have it.
    if judgement.known == Known::Custom {
        return Ok(Some("the kind is not one of Kubernetes".to_owned()));
    }
    let fault = judgement.faults.into_iter().find(|fault| fault.severity == Severity::Error);
    Ok(fault.map(|fault| format!("{} at {}: {}", fault.rule.id(), fault.at.pointer, fault.message)))
}

/// The API server behind `kubectl proxy`, which spares the tests its TLS.
struct Server {
    address: String,
    /// The path of each apiVersion and kind.
    paths: BTreeMap<(String, String), String>,
    _proxy: Process,
}

impl Server {
    fn of(control_plane: &ControlPlane) -> Result<Self> {
        let kubectl = control_plane.kubectl();
        let mut command: Command = kubectl.command(&["proxy", "--port=0"]);
        let mut proxy = control_plane.spawn("proxy", &mut command)?;
        let address = until(Duration::from_secs(30), "kubectl proxy serves", || {
            proxy.still_runs()?;
            Ok(proxy.log().split_once("serve on ").and_then(|(_, rest)| Some(rest.lines().next()?.trim().to_owned())))
        })?;
        Ok(Self { address, paths: paths(&kubectl)?, _proxy: proxy })
    }

    async fn ask(&self, mutants: Vec<Mutant>) -> Result<Verdicts> {
        let mut tasks = Vec::new();
        for chunk in mutants.chunks(mutants.len().div_ceil(CONNECTIONS)) {
            let chunk: Vec<(Mutant, Option<String>)> =
                chunk.iter().map(|mutant| (mutant.clone(), self.path(&mutant.object))).collect();
            tasks.push(tokio::spawn(ask(self.address.clone(), chunk)));
        }
        let mut verdicts = Verdicts::default();
        for task in tasks {
            for (mutant, answer, ours) in task.await?? {
                verdicts.add(&mutant, &answer, ours);
            }
        }
        Ok(verdicts)
    }

    fn path(&self, object: &Value) -> Option<String> {
        let key = (object["apiVersion"].as_str()?.to_owned(), object["kind"].as_str()?.to_owned());
        self.paths.get(&key).cloned()
    }
}

/// Sends the mutants one after another. The answers stand beside what we say.
async fn ask(address: String, mutants: Vec<(Mutant, Option<String>)>) -> Result<Vec<(Mutant, Answer, Option<String>)>> {
    let mut answers = Vec::with_capacity(mutants.len());
    let mut connection = Connection { address, open: None };
    for (mutant, path) in mutants {
        let ours = refusal(&mutant.object)?;
        let answer = match path {
            None => Answer { status: 404, message: "no such kind".to_owned(), name: String::new() },
            Some(path) => {
                let dry = format!("{path}?dryRun=All&fieldValidation=Strict");
                let answer = connection.send(Method::POST, &dry, &mutant.object).await?;
                match answer.refused() {
                    // A dry run allocates no ports and addresses.
                    Some(false) if ours.is_some() => connection.try_out(&path, &mutant.object).await?,
                    _ => answer,
                }
            }
        };
        answers.push((mutant, answer, ours));
    }
    Ok(answers)
}

/// A connection, which is opened anew where the API server has closed it.
struct Connection {
    address: String,
    open: Option<SendRequest<Full<Bytes>>>,
}

impl Connection {
    /// Creates the object, and removes it again.
    async fn try_out(&mut self, path: &str, object: &Value) -> Result<Answer> {
        let answer = self.send(Method::POST, &format!("{path}?fieldValidation=Strict"), object).await?;
        if answer.status == 201 {
            self.send(Method::DELETE, &format!("{path}/{}", answer.name), &Value::Null).await?;
        }
        Ok(answer)
    }

    async fn send(&mut self, method: Method, path: &str, body: &Value) -> Result<Answer> {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let mut message = String::new();
        for _ in 0..3 {
            let sender = match &mut self.open {
                Some(sender) if !sender.is_closed() => sender,
                closed => {
                    let stream = tokio::net::TcpStream::connect(&self.address).await?;
                    let (sender, driver) = http1::handshake(TokioIo::new(stream)).await?;
                    tokio::spawn(driver);
                    closed.insert(sender)
                }
            };
            let request = Request::builder()
                .method(method.clone())
                .uri(path)
                .header("host", &self.address)
                .header("content-type", "application/json")
                .body(Full::new(Bytes::from(body.clone())))?;
            match sender.send_request(request).await {
                Ok(response) => return Answer::of(response).await,
                // A few objects make the API server panic: it closes the connection.
                Err(error) => (self.open, message) = (None, error.to_string()),
            }
        }
        Ok(Answer { status: 0, message, name: String::new() })
    }
}

struct Answer {
    status: u16,
    message: String,
    /// The name of the object that was created.
    name: String,
}

impl Answer {
    async fn of(response: Response<Incoming>) -> Result<Self> {
        let status = response.status().as_u16();
        let body: Value = serde_json::from_slice(&response.into_body().collect().await?.to_bytes()).unwrap_or_default();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Ok(Self { status, message: text(&body["message"]), name: text(&body["metadata"]["name"]) })
    }

    /// Whether the object itself is refused; `None` if the answer depends on other objects, or on the flags of the server.
    fn refused(&self) -> Option<bool> {
        const ELSEWHERE: &[&str] = &["no PriorityClass with name", "not found", "must not be provided in pod spec"];
        const FLAGS: &[&str] = &["is not in the valid range", "already allocated", "admin access to devices requires"];
        let says = |texts: &[&str]| texts.iter().any(|text| self.message.contains(text));
        match self.status {
            200 | 201 | 409 => Some(false),
            403 if says(ELSEWHERE) => None,
            422 if says(FLAGS) => None,
            400 if says(&["does not match the namespace sent on the request"]) => None,
            400 | 403 | 404 | 422 => Some(true),
            _ => None,
        }
    }
}

/// The path of each kind that can be created, in the namespace `default` if it has one.
fn paths(kubectl: &Kubectl) -> Result<BTreeMap<(String, String), String>> {
    let raw = |path: &str| -> Result<Value> { Ok(serde_json::from_str(&kubectl.ok(&["get", "--raw", path])?)?) };
    let mut versions = vec!["/api/v1".to_owned()];
    for group in raw("/apis")?["groups"].as_array().context("no groups")? {
        for version in group["versions"].as_array().context("no versions")? {
            versions.push(format!("/apis/{}", version["groupVersion"].as_str().context("no version")?));
        }
    }
    let mut paths = BTreeMap::new();
    for version in versions {
        let api_version = version.trim_start_matches("/apis/").trim_start_matches("/api/").to_owned();
        for resource in raw(&version)?["resources"].as_array().context("no resources")? {
            let (Some(name), Some(kind)) = (resource["name"].as_str(), resource["kind"].as_str()) else { continue };
            let creates = resource["verbs"].as_array().is_some_and(|verbs| verbs.iter().any(|verb| verb == "create"));
            if !creates || name.contains('/') {
                continue;
            }
            let namespace = if resource["namespaced"] == true { "/namespaces/default" } else { "" };
            paths.insert((api_version.clone(), kind.to_owned()), format!("{version}{namespace}/{name}"));
        }
    }
    Ok(paths)
}

fn from_environment<T: std::str::FromStr>(name: &str) -> Result<Option<T>> {
    let Some(text) = std::env::var(name).ok().filter(|text| !text.is_empty()) else { return Ok(None) };
    text.parse().map(Some).ok().with_context(|| format!("{name}={text} is no number"))
}
