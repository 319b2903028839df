//! The demonstration: the gateway's requirements played in a lab with real programs and real traffic.
//!
//! Each step does what a user would do, shows the evidence as it was seen on the wire, and says OK or FAIL.

mod evidence;
mod stage;
mod story;

use std::time::Instant;

use anyhow::Result;

use crate::lab::remains::Undo;
use crate::lab::{Lab, edges, standing};

use stage::Stage;
use story::Story;

/// What is to become of the lab at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    Remove,
    /// It stands until `lab down`.
    Keep,
}

/// Plays the demonstration; `true` where every step went well.
pub fn play(ending: Ending, undo: &Undo) -> Result<bool> {
    let mut stage = Stage::new(undo);
    let begun = Instant::now();
    if ending == Ending::Keep {
        standing::ensure_none_stands()?;
    }
    let builder = if ending == Ending::Keep { Lab::builder().named(standing::NAME) } else { Lab::builder() };
    stage.say("A lab of network namespaces: internet -- router -- gateway -- switch -- three instances a, b, c.");
    let lab = builder.undone_by(undo).build()?;
    lab.daemon.start(edges::settings(&lab.directory, &[edges::USER])?)?;
    stage.say(&format!("It stands and the daemon serves after {:.1} s.", begun.elapsed().as_secs_f32()));

    Story::new(&lab).tell(&mut stage);

    let well = stage.end(begun.elapsed());
    if ending == Ending::Remove {
        lab.finish()?;
        return Ok(well);
    }
    let standing = standing::leave(lab)?;
    stage.say("\nThe lab stands. A shell on one of its hosts:");
    for host in standing.hosts() {
        stage.say(&format!("  {}", standing::how_to_enter(&host)));
    }
    stage.say("On each, `eipgate` talks to the lab's daemon. Its console, for a browser outside the lab:");
    stage.say(&format!("  {}", standing::about_the_console()));
    stage.say("The cloud's API, by the cloud's own command line:");
    stage.say(&format!("  {}", standing::about_the_api()));
    stage.say("`cargo xtask lab down` takes everything away.");
    Ok(well)
}
