//! The settings that change the machine code. All of them are here, and no other settings. `build.rs` includes this
//! file, so that the engine accepts the embedded code.

/// Sets everything that compiling and loading must agree on. `metered` code counts fuel; other code checks deadlines.
pub(crate) fn codegen(config: &mut wasmtime::Config, metered: bool) {
    config
        .consume_fuel(metered)
        // Loops and calls check the deadline.
        .epoch_interruption(!metered)
        // The same input gives the same bytes on every machine.
        .cranelift_nan_canonicalization(true)
        .wasm_relaxed_simd(false)
        .wasm_component_model(true);
}
