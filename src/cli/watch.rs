//! `globstash watch`: print changes as they happen, or run a command for each.

use crate::client::{self, Change, Event, Fields, Start, Value};

use super::args::Watch;
use super::hook::{Hook, Pending, answer};
use super::outcome::{Answer, Failure};
use super::output::Output;
use super::{Context, one_of, patterns};

/// What is printed of a change.
#[derive(Clone, Copy)]
enum Form {
    Variable,
    Record,
    Value,
    Json,
}

pub(super) fn run(args: Watch, context: &Context) -> Result<Answer, Failure> {
    let (has_command, once) = (!args.command.is_empty(), args.once);
    let form = form(&args, context)?;
    let ended = follow(args, form, context);
    match has_command && once {
        // The status is that of the command, so no other may look like it.
        true => ended.map_err(Failure::before_command),
        false => ended,
    }
}

/// What is wanted, if that is one thing.
fn form(args: &Watch, context: &Context) -> Result<Form, Failure> {
    let forms = [
        (context.json, "--json", Form::Json),
        (args.values, "--values", Form::Value),
        (args.variables.nul, "-0", Form::Record),
    ];
    match one_of(&forms)? {
        Some((option, _)) if !args.command.is_empty() => Err(Failure::Usage(format!(
            "{option} is for printing, not for running a command"
        ))),
        form => Ok(form.map_or(Form::Variable, |(_, form)| form)),
    }
}

fn follow(args: Watch, form: Form, context: &Context) -> Result<Answer, Failure> {
    let start = match args.changes {
        true => Start::Now,
        false => Start::Present,
    };
    let patterns = patterns(args.variables);
    let watch = context
        .connect()?
        .watch_with(patterns, start, Fields::VALUES)?;
    match args.command.is_empty() {
        true => print(watch, form, args.once),
        false => act(watch, &Hook(args.command), args.once),
    }
}

/// Prints changes until nobody reads them any more.
fn print(mut watch: client::Watch, form: Form, once: bool) -> Result<Answer, Failure> {
    let mut output = Output::new();
    loop {
        while let Some(event) = watch.try_next() {
            print_event(&event?, form, &mut output)?;
            if once {
                output.finish()?;
                return Ok(Answer::Yes);
            }
        }
        output.flush()?;
        if !output.wait_for(&watch)? {
            return Ok(Answer::Yes);
        }
    }
}

fn print_event(event: &Event, form: Form, output: &mut Output) -> Result<(), Failure> {
    // What a variable was before it was deleted is told in JSON only.
    let value = event.value.as_ref().filter(|_| event.change == Change::Set);
    match form {
        Form::Variable => output.variable(&event.key, value),
        Form::Record => output.record(&event.key, value),
        Form::Value => output.escaped(value.map_or(&[], Value::as_bytes)),
        Form::Json => output.json(event),
    }
}

/// Runs a command for each change, until it cannot be run.
fn act(mut watch: client::Watch, hook: &Hook, once: bool) -> Result<Answer, Failure> {
    let mut pending = Pending::default();
    loop {
        if pending.is_empty() {
            pending.extend(watch.next().transpose()?);
        }
        while let Some(event) = watch.try_next() {
            pending.extend([event?]);
        }
        let Some(event) = pending.take() else {
            return Ok(Answer::Yes);
        };
        let status = hook.run(&event)?;
        if once {
            return Ok(answer(status));
        }
    }
}
