//! The only owner of wasmtime: the engine with its ticker, bundles, limits, and calls on fresh instances.

mod bundle;
mod cache;
mod clock;
mod code;
mod codegen;
#[cfg(test)]
mod contract_tests;
mod imports;
mod instance;
mod memory;
mod outcome;
mod session;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::thread;
use std::time::Duration;

pub use bundle::{Bundle, Description, LoadError};
pub use cache::{Cache, CacheError, NotPrivate};
pub use code::{BUILTIN, BUILTIN_DIGEST, Code};
pub use imports::{Answer, Surroundings};
pub use instance::SettingFault;
pub use memory::{give_memory_back, keep_little_memory};
pub use session::{Call, Cost, Input, Session};

/// How often a running guest is interrupted to check its deadline.
const TICK: Duration = Duration::from_millis(5);

/// Maximum number of core instances of a component. One of ours has up to 4. Components of other languages have more:
/// those that componentize-py makes have 38. Each costs memory only while it exists.
const MAX_CORE_INSTANCES: u32 = 64;

/// Limits of a guest.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Linear memory of one instance, in bytes.
    pub memory: usize,
    /// Maximum size of the result of one call, in bytes. Lists and strings count every time they are mentioned.
    pub output: usize,
    /// Processor time for one batch of calls and, if one of them fails, for its repetition one by one. The old object
    /// gets the same time again.
    pub time: Duration,
    /// Replaces `time` in an engine that counts fuel: the limit for a batch of calls and for its repetition.
    pub fuel: u64,
    /// Maximum number of concurrent instances: one for each evaluating thread.
    pub instances: u32,
}

/// Default of [`Limits::time`]. All built-in policies together take a thousandth of it for a usual review.
pub const TIME: Duration = Duration::from_millis(250);

/// Default of [`Limits::fuel`]. A unit is about one instruction, so this is about half a second on a usual machine. All
/// built-in policies together take a thousandth of it for a usual review.
pub const FUEL: u64 = 3_000_000_000;

impl Default for Limits {
    fn default() -> Self {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        Self {
            memory: 48 << 20,
            output: 4 << 20,
            time: TIME,
            fuel: FUEL,
            instances: u32::try_from(cores).unwrap_or(1).saturating_mul(2).max(4),
        }
    }
}

/// Compiles bundles and runs them. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct Engine {
    inner: wasmtime::Engine,
    limits: Limits,
    metered: bool,
    /// Cache for the code of all bundles except the built-in one.
    cache: Option<Arc<Cache>>,
    /// Total fuel that all guests have used so far.
    burnt: Arc<AtomicU64>,
}

impl Engine {
    /// Makes an engine with its pool of instances and its ticker.
    ///
    /// # Errors
    /// If the machine can't reserve the address space of the pool.
    pub fn new(limits: Limits) -> Result<Self, wasmtime::Error> {
        Self::of(&config(limits, false), limits, false)
    }

    /// Makes an engine that limits guests by fuel instead of time. It is slower, but gives the same result on every
    /// machine, however busy it is.
    ///
    /// # Errors
    /// Like [`Engine::new`].
    pub fn metered(limits: Limits) -> Result<Self, wasmtime::Error> {
        Self::of(&config(limits, true), limits, true)
    }

    /// The same engine with a cache folder for the code that it compiles.
    #[must_use]
    pub fn with_cache(self, cache: Cache) -> Self {
        Self { cache: Some(Arc::new(cache)), ..self }
    }

    fn of(config: &wasmtime::Config, limits: Limits, metered: bool) -> Result<Self, wasmtime::Error> {
        let inner = wasmtime::Engine::new(config)?;
        if !metered {
            tick(&inner);
        }
        Ok(Self { inner, limits, metered, cache: None, burnt: Arc::default() })
    }
}

fn config(limits: Limits, metered: bool) -> wasmtime::Config {
    let mut pool = wasmtime::PoolingAllocationConfig::new();
    // There is a slot for each evaluating thread, so the pool can't be exhausted. A component of ours has one core
    // instance with a memory, and shim and fixup instances without.
    pool.total_component_instances(limits.instances)
        .total_core_instances(limits.instances.saturating_mul(MAX_CORE_INSTANCES))
        .total_memories(limits.instances)
        .total_tables(limits.instances.saturating_mul(4))
        .max_memories_per_component(1)
        // A component that needs more is rejected when it is loaded, not when other components use up the pool.
        .max_core_instances_per_component(MAX_CORE_INSTANCES)
        .max_tables_per_component(4)
        .max_memory_size(limits.memory)
        // Memory up to this size is reset by copying when an instance is dropped. The rest is returned to the system.
        .linear_memory_keep_resident(256 << 10)
        .table_keep_resident(64 << 10)
        // According to an open bug report, a dirty page that was swapped out is not reset before the next instance.
        .pagemap_scan(wasmtime::Enabled::No);
    let mut config = wasmtime::Config::new();
    codegen::codegen(&mut config, metered);
    config.allocation_strategy(wasmtime::InstanceAllocationStrategy::Pooling(pool)).max_wasm_stack(512 << 10);
    config
}

/// Advances the epoch, which makes guests check their deadlines, as long as the engine exists.
fn tick(engine: &wasmtime::Engine) {
    let engine = engine.weak();
    // Without this thread, guests have no deadline of their own, only the review's.
    let ticking = thread::Builder::new().name("plimsoll-ticker".to_owned()).spawn(move || {
        loop {
            thread::sleep(TICK);
            let Some(engine) = engine.upgrade() else { return };
            engine.increment_epoch();
        }
    });
    if let Err(error) = ticking {
        tracing::error!(%error, "cannot start the ticker of deadlines");
    }
}
