//! Runs a control plane, and prints the administrator's kubeconfig. It ends with standard input, or on Ctrl-C.

use std::io::{Read, Write};

use anyhow::{Context, Result, bail};
use plimsoll_tests::{ControlPlane, Options};

fn main() -> Result<()> {
    let mut options = Options::default();
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--controller-manager" => options.controller_manager = true,
            other => bail!("unknown argument `{other}`; usage: control-plane [--controller-manager]"),
        }
    }
    let control_plane = ControlPlane::start(&options)?;
    let mut stdout = std::io::stdout();
    writeln!(stdout, "{}", control_plane.kubeconfig().display())
        .and_then(|()| stdout.flush())
        .context("stdout is closed")?;
    // Ctrl-C ends this process at once, and the servers with it.
    std::io::copy(&mut std::io::stdin().by_ref(), &mut std::io::sink()).context("stdin can't be read")?;
    Ok(())
}
