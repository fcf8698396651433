//! Clients: what they may ask when, and what they get.

use super::Daemon;
use super::connection::{Connection, Outbox, Stage};
use super::vocabulary::{Input, What};
use crate::error::{Error, Result};
use crate::runtime::wire::{Frame, Got, Hello, Limits, Purpose, Request, Response, Welcome, decode, frame};
use nix::poll::PollFlags;
use std::net::Shutdown;
use std::time::Instant;

impl Daemon<'_> {
    /// Hears a client, and lets it have what it can take.
    pub(super) fn serve_client(&mut self, client: u64, flags: PollFlags) {
        if flags.contains(PollFlags::POLLOUT) {
            self.flush(client);
        }
        if !flags.intersects(PollFlags::POLLIN | PollFlags::POLLHUP | PollFlags::POLLERR) {
            return;
        }
        let Some(connection) = self.clients.get_mut(&client) else { return };
        match connection.read(Instant::now()) {
            Ok(Got::Frame(frame)) => {
                if self.understand(client, frame).is_err() {
                    self.hang_up(client);
                }
            }
            Ok(Got::NotYet) => {}
            Ok(Got::End) | Err(_) => self.hang_up(client),
        }
    }

    /// An error when the client does not keep to the protocol.
    fn understand(&mut self, client: u64, Frame { head, body }: Frame) -> Result<()> {
        let Some(connection) = self.clients.get_mut(&client) else { return Ok(()) };
        match connection.stage {
            Stage::Greeting => self.greet(client, &Hello::read(&head)?.0),
            Stage::Asking => {
                self.answer(client, decode(&head)?, body);
                Ok(())
            }
            Stage::Asked(_) => match decode(&head)? {
                Request::Cancel => {
                    self.happen(Input::Cancel(client), Vec::new());
                    Ok(())
                }
                _ => Err(Error::internal("the client asks before it was answered")),
            },
            Stage::Waiting | Stage::Leaving => Ok(()),
        }
    }

    fn greet(&mut self, client: u64, hello: &Hello) -> Result<()> {
        let Some(connection) = self.clients.get_mut(&client) else { return Ok(()) };
        let ours = Hello::new(hello.purpose);
        match hello.purpose {
            Purpose::Stop | Purpose::StopNow => {
                connection.stage = Stage::Waiting;
                connection.outbox.push(frame(&ours, &[])?);
                let now = hello.purpose == Purpose::StopNow;
                self.happen(Input::Stop { now }, Vec::new());
            }
            // The client does by itself what it wants to be done.
            Purpose::Talk if self.lifecycle.is_stopping() => connection.stage = Stage::Leaving,
            Purpose::Talk if hello.is_ours() => {
                connection.stage = Stage::Asking;
                connection.reader.allow(Limits::TALK);
                connection.outbox.push(frame(&(ours, Welcome { models: self.models.clone() }), &[])?);
            }
            Purpose::Talk => {
                connection.stage = Stage::Leaving;
                connection.outbox.push(frame(&ours, &[])?);
            }
        }
        self.flush(client);
        Ok(())
    }

    fn answer(&mut self, client: u64, request: Request, body: Vec<u8>) {
        let Some(connection) = self.clients.get_mut(&client) else { return };
        let owner = connection.pid;
        let what = match request {
            // It crossed the answer.
            Request::Cancel => return,
            Request::Status => {
                let status = Response::Status(Box::new(self.status()));
                return self.tell(client, &status, &[]);
            }
            Request::Set(changes) => {
                self.happen(Input::Set(changes), Vec::new());
                return self.tell(client, &Response::Settings(self.settings()), &[]);
            }
            Request::Run(models) => {
                connection.stage = Stage::Asked(Instant::now());
                let bytes = body.len();
                self.tasks.insert(client, body);
                Input::Run { client, owner, models, bytes }
            }
            Request::Unload(when_busy) => {
                connection.stage = Stage::Asked(Instant::now());
                Input::Free { client, what: What::Device, when_busy }
            }
            Request::Release(when_busy) => {
                connection.stage = Stage::Asked(Instant::now());
                Input::Free { client, what: What::Everything, when_busy }
            }
        };
        self.happen(what, Vec::new());
    }

    /// Gives the last answer to what a client asked.
    pub(super) fn conclude(&mut self, client: u64, response: &Response, body: &[u8]) {
        self.tasks.remove(&client);
        if let Some(connection) = self.clients.get_mut(&client) {
            connection.stage = Stage::Asking;
        }
        self.tell(client, response, body);
    }

    pub(super) fn tell(&mut self, client: u64, response: &Response, body: &[u8]) {
        let Some(connection) = self.clients.get_mut(&client) else { return };
        if let Ok(frame) = frame(response, body) {
            connection.outbox.push(frame);
        }
        self.flush(client);
    }

    /// A client that cannot be written to will be found gone when it is read from; here it only gets no more.
    fn flush(&mut self, client: u64) {
        let Some(connection) = self.clients.get_mut(&client) else { return };
        if connection.flush(Instant::now()).is_err() {
            connection.outbox = Outbox::default();
            let _ = connection.stream.shutdown(Shutdown::Both);
        }
    }

    pub(super) fn hang_up(&mut self, client: u64) {
        self.clients.remove(&client);
        self.tasks.remove(&client);
        self.happen(Input::Left(client), Vec::new());
    }

    pub(super) fn give_up_on_slow_clients(&mut self) {
        let now = Instant::now();
        let late = |connection: &Connection| connection.deadline().is_some_and(|at| at <= now);
        let slow: Vec<u64> =
            self.clients.iter().filter(|(_, connection)| late(connection)).map(|(&id, _)| id).collect();
        for client in slow {
            (self.log)("a client that did not go on was given up");
            self.hang_up(client);
        }
    }
}
