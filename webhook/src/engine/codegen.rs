//! What machine code is made under. `build.rs` includes this file too, so that the code it embeds is code that the
//! engine accepts: every setting that changes what the compiler writes is here, and nothing else is.

/// Sets what compiling and loading must agree on. Code that is `metered` counts fuel, other code notices deadlines.
pub(crate) fn codegen(config: &mut wasmtime::Config, metered: bool) {
    config
        .consume_fuel(metered)
        // Deadlines are noticed at loops and calls.
        .epoch_interruption(!metered)
        // The same bytes for the same input, on every machine.
        .cranelift_nan_canonicalization(true)
        .wasm_relaxed_simd(false)
        .wasm_component_model(true);
}
