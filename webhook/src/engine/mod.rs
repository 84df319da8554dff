//! The only owner of wasmtime: an engine with its ticker, bundles, limits, and calls on fresh instances.

mod bundle;
mod cache;
mod clock;
mod code;
mod codegen;
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
pub use memory::{give_memory_back, keep_little_memory};
pub use session::{Call, Cost, Input, Session};

/// How often a running guest is interrupted to check its deadline.
const TICK: Duration = Duration::from_millis(5);

/// What a guest may use.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Linear memory of one instance, in bytes.
    pub memory: usize,
    /// What one call may hand back, in bytes, lists and strings counted as often as they are mentioned.
    pub output: usize,
    /// Processor time of one batch of calls, and of the repeat of its calls one by one, if one of them fails. The old object
    /// has the same once more.
    pub time: Duration,
    /// In the place of time where an engine counts fuel: the same for a batch of calls and for its repeat.
    pub fuel: u64,
    /// How many instances can exist at once: one for each evaluating thread.
    pub instances: u32,
}

/// Default of [`Limits::time`]. All built-in policies take a thousandth of it for a usual review.
pub const TIME: Duration = Duration::from_millis(250);

/// Default of [`Limits::fuel`]: about one unit for each instruction, and half a second on a usual machine. All built-in policies
/// take a thousandth of it for a usual review.
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

/// Compiles bundles and runs them. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Engine {
    inner: wasmtime::Engine,
    limits: Limits,
    metered: bool,
    /// Code of bundles other than the built-in one.
    cache: Option<Arc<Cache>>,
    /// Fuel that all guests have burnt so far.
    burnt: Arc<AtomicU64>,
}

impl Engine {
    /// An engine with its pool of instances and its ticker.
    ///
    /// # Errors
    /// Where the machine cannot reserve the address space of the pool.
    pub fn new(limits: Limits) -> Result<Self, wasmtime::Error> {
        Self::of(&config(limits, false), limits, false)
    }

    /// An engine that counts the fuel of every call and stops guests by that, whatever the clock says: slower, and the same
    /// on every machine, however busy.
    ///
    /// # Errors
    /// As [`Engine::new`].
    pub fn metered(limits: Limits) -> Result<Self, wasmtime::Error> {
        Self::of(&config(limits, true), limits, true)
    }

    /// The same engine with a folder for the code of the bundles that it will compile.
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
    // As many slots as evaluating threads, so that the pool can never be exhausted. A component of ours is one core
    // instance with one memory, and shim and fixup instances without.
    pool.total_component_instances(limits.instances)
        .total_core_instances(limits.instances * 4)
        .total_memories(limits.instances)
        .total_tables(limits.instances * 4)
        .max_memories_per_component(1)
        // A component that wants more is refused when it is loaded, not when others have taken what it wants.
        .max_core_instances_per_component(4)
        .max_tables_per_component(4)
        .max_memory_size(limits.memory)
        // What an instance touched is copied back when it is dropped; past this it is given back to the system.
        .linear_memory_keep_resident(256 << 10)
        .table_keep_resident(64 << 10)
        // An open report says that a swapped-out dirty page is not reset before the next instance.
        .pagemap_scan(wasmtime::Enabled::No);
    let mut config = wasmtime::Config::new();
    codegen::codegen(&mut config, metered);
    config.allocation_strategy(wasmtime::InstanceAllocationStrategy::Pooling(pool)).max_wasm_stack(512 << 10);
    config
}

/// Advances the epoch, by which deadlines are noticed, as long as the engine exists.
fn tick(engine: &wasmtime::Engine) {
    let engine = engine.weak();
    // Without this thread guests have no deadline of their own, only the review's.
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
