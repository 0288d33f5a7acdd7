//! `hikyaku worker`: hidden. A sweep starts it; it runs what it is told on standard input. See `explore/sweep/worker.rs`.

use crate::explore::sweep::serve;

use super::Exit;

pub fn worker() -> anyhow::Result<Exit> {
    serve(std::io::stdin().lock());
    Ok(Exit::Holds)
}
