//! Terraform's own command line over a slow link: 50 ms each way, and 1 % of what is sent is lost.
//!
//! Where the kernel can do it, that is `tc netem` in a network namespace of the test's own: what the command line sends
//! loses packets, and TCP sends them again. That takes root, `ip`, `tc` and the kernel's `sch_netem`. Elsewhere the test says
//! `NOT RUN by netem` and why, and a hop of its own stands in: every piece takes 50 ms, and of a hundred one comes as late as
//! after a retransmission, and all behind it.

use crate::{
    Random,
    program::{Database, PATIENCE},
    site::{Fault, Site, words},
};
use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    process::{Command, Output},
    sync::mpsc::{Sender, channel},
    time::{Duration, Instant},
};

const DELAY: Duration = Duration::from_millis(50);
/// Until TCP sends again what nobody has acknowledged, on such a link.
const RETRANSMISSION: Duration = Duration::from_millis(300);
/// What a packet carries.
const PIECE: usize = 1448;
const LINES: usize = 400;

#[test]
fn an_apply_over_a_slow_link_works_and_prints_everything() {
    let terminal = Terminal::open();
    let site = Site::open_behind(Database::Sqlite, Fault::Kill, |link| terminal.connect(link));
    let lines = format!("for i in $(seq {LINES}); do echo line-$i-of-many; done");
    site.write(&crate::load::resources(1, &lines));
    std::fs::write(site.folder().join("noise"), crate::api::noise(200_000, 1)).unwrap();
    let from = Instant::now();
    let init = terminal.run(site.terraform(&["init", "-input=false"]));
    assert!(init.status.success(), "{}", words(&init));
    // One connection and half a dozen requests, each a way and back.
    assert!(from.elapsed() > 12 * DELAY, "the link is not slow: init took {:?}", from.elapsed());
    let apply = terminal.run(site.terraform(&["apply", "-auto-approve"]));
    let said = words(&apply);
    assert!(apply.status.success(), "{said}");
    for line in 1..=LINES {
        assert!(said.contains(&format!("line-{line}-of-many")), "line {line} is missing: {said}");
    }
    assert!(said.contains("Plan: 1 to add") && said.contains("Apply complete! Resources: 1 added"), "{said}");
    assert!(site.state().contains("terraform_data"));
    assert_eq!(site.workspace()["locked"], false);
    eprintln!("init and apply over a slow link: {:?}", from.elapsed());
}

/// Where the command line runs, and its way to the server.
struct Terminal {
    listener: TcpListener,
    /// A thread in a namespace of its own; else here.
    there: Option<Sender<(Command, Sender<Output>)>>,
}

impl Terminal {
    fn open() -> Self {
        let (opened, result) = channel();
        let (there, commands) = channel::<(Command, Sender<Output>)>();
        std::thread::spawn(move || {
            opened.send(slow_namespace()).unwrap();
            for (mut command, output) in commands {
                output.send(command.output().unwrap()).unwrap();
            }
        });
        match result.recv().unwrap() {
            Ok(listener) => Self { listener, there: Some(there) },
            Err(why) => {
                eprintln!("NOT RUN by netem: {why}. A hop of the test's own is the slow link instead");
                Self { listener: TcpListener::bind("127.0.0.1:0").unwrap(), there: None }
            }
        }
    }

    /// Carries connections from here to this port; where they are taken.
    fn connect(&self, to: u16) -> u16 {
        let (listener, slow) = (self.listener.try_clone().unwrap(), self.there.is_none());
        std::thread::spawn(move || {
            for (number, near) in listener.incoming().enumerate() {
                let (near, far) = (near.unwrap(), TcpStream::connect(("127.0.0.1", to)).unwrap());
                for stream in [&near, &far] {
                    stream.set_nodelay(true).unwrap();
                }
                let back = (far.try_clone().unwrap(), near.try_clone().unwrap());
                for (way, (from, into)) in [(near, far), back].into_iter().enumerate() {
                    let random = Random((2 * number + way) as u64);
                    std::thread::spawn(move || carry(from, into, slow.then_some(random)));
                }
            }
        });
        self.listener.local_addr().unwrap().port()
    }

    fn run(&self, mut command: Command) -> Output {
        let Some(there) = &self.there else { return command.output().unwrap() };
        let (output, result) = channel();
        there.send((command, output)).unwrap();
        result.recv_timeout(PATIENCE).expect("the command ends")
    }
}

/// Puts this thread, and what it will start, into a network namespace that has nothing but a slow loopback; a listener
/// there.
fn slow_namespace() -> Result<TcpListener, String> {
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET)
        .map_err(|error| format!("no network namespace of one's own: {error}"))?;
    for words in ["ip link set lo up", "tc qdisc add dev lo root netem delay 50ms loss 1%"] {
        let (program, arguments) = words.split_once(' ').expect("more than one word");
        let output = Command::new(program).args(arguments.split(' ')).output();
        let output = output.map_err(|error| format!("{program}: {error}"))?;
        if !output.status.success() {
            return Err(format!("{words}: {}", String::from_utf8_lossy(&output.stderr).trim()));
        }
    }
    TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())
}

/// Carries one direction of a connection; slowly, if there is somebody to throw dice.
fn carry(mut from: TcpStream, mut into: TcpStream, mut dice: Option<Random>) {
    let (sender, pieces) = channel::<(Instant, Vec<u8>)>();
    let writing = std::thread::spawn(move || {
        for (due, piece) in pieces {
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            if into.write_all(&piece).is_err() {
                break;
            }
        }
        let _ = into.shutdown(Shutdown::Write);
    });
    // The connection itself takes a way and back.
    let mut due = Instant::now() + if dice.is_some() { 2 * DELAY } else { Duration::ZERO };
    let mut piece = [0; PIECE];
    while let Ok(read @ 1..) = from.read(&mut piece) {
        if let Some(dice) = &mut dice {
            let lost = dice.next() % 100 == 0;
            // Nothing overtakes what was sent before.
            due = due.max(Instant::now() + DELAY + if lost { RETRANSMISSION } else { Duration::ZERO });
        }
        if sender.send((due, piece[..read].to_vec())).is_err() {
            break;
        }
    }
    drop(sender);
    let _ = writing.join();
}
