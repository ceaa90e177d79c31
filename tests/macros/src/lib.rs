//! Attributes that run an integration test on every engine.
//!
//! Each attribute keeps the function as it is, so that other tests can call it, and adds a module of the same name with
//! the `#[test]` functions. A filter such as `cargo test --test it -- name::sqlite` therefore selects one engine.
//!
//! The crate parses by hand and depends on nothing, which keeps the test build fast.

use proc_macro::{TokenStream, TokenTree};

/// Runs an `async fn name(world: &mut World)` on SQLite and on PostgreSQL, as `name::sqlite` and `name::postgres`.
///
/// `#[every_engine(also_in_chunks_of = 10)]` also runs it with chunks of ten rows, as `name::in_chunks::sqlite` and
/// `name::in_chunks::postgres`. By default the test's jobs fit into the planner's transaction; with small chunks, the
/// cutter, the movers and the finalizer do the work.
///
/// A function that is not async receives the [`Engine`] instead of a world: it creates as many worlds as it needs.
///
/// [`Engine`]: ../it/support/enum.Engine.html
#[proc_macro_attribute]
pub fn every_engine(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let chunk_rows = match chunk_rows(arguments) {
        Ok(rows) => rows,
        Err(message) => return compile_error(&message),
    };
    add_tests(item, &[("sqlite", "Sqlite"), ("postgres", "Postgres")], chunk_rows.as_deref())
}

/// Runs an `async fn name(world: &mut World)` on PostgreSQL and RabbitMQ only, as `name::postgres`.
#[proc_macro_attribute]
pub fn on_postgres(_: TokenStream, item: TokenStream) -> TokenStream {
    add_tests(item, &[("postgres", "Postgres")], None)
}

/// Runs an `async fn name(world: &mut World)` on SQLite only, as `name::sqlite`.
#[proc_macro_attribute]
pub fn on_sqlite(_: TokenStream, item: TokenStream) -> TokenStream {
    add_tests(item, &[("sqlite", "Sqlite")], None)
}

/// Returns the item, followed by a module with a test for each engine.
fn add_tests(item: TokenStream, engines: &[(&str, &str)], chunk_rows: Option<&str>) -> TokenStream {
    let Some((name, is_async)) = signature(&item) else {
        return compile_error("the attribute belongs on a function");
    };
    let run = |engine: &str, setup: &str| {
        if is_async {
            format!("crate::support::run({engine}, async |world| {{ {setup} super_fn(world).await }})")
        } else {
            format!("super_fn({engine})")
        }
    };
    let tests = |path: &str, setup: &str| -> String {
        let test = |(test, engine): &(&str, &str)| {
            let engine = format!("crate::support::Engine::{engine}");
            format!("#[test] fn {test}() {{ use {path}::{name} as super_fn; {} }}", run(&engine, setup))
        };
        engines.iter().map(test).collect()
    };
    let in_chunks = chunk_rows.map_or_else(String::new, |rows| {
        format!("mod in_chunks {{ {} }}", tests("super::super", &format!("world.use_chunks_of({rows});")))
    });
    let module = format!("mod {name} {{ {} {in_chunks} }}", tests("super", ""));
    let module: TokenStream = module.parse().expect("the module is Rust");
    item.into_iter().chain(module).collect()
}

/// Returns the function's name, and true if it is async.
fn signature(item: &TokenStream) -> Option<(String, bool)> {
    let mut is_async = false;
    let mut tokens = item.clone().into_iter();
    while let Some(token) = tokens.next() {
        let TokenTree::Ident(word) = token else { continue };
        match word.to_string().as_str() {
            "async" => is_async = true,
            "fn" => return Some((tokens.next()?.to_string(), is_async)),
            _ => {}
        }
    }
    None
}

/// Returns the number in `also_in_chunks_of = 10`, if the attribute has arguments.
fn chunk_rows(arguments: TokenStream) -> Result<Option<String>, String> {
    let words: Vec<String> = arguments.into_iter().map(|token| token.to_string()).collect();
    match words.as_slice() {
        [] => Ok(None),
        [name, equals, rows] if name == "also_in_chunks_of" && equals == "=" => Ok(Some(rows.clone())),
        _ => Err(format!("expected `also_in_chunks_of = ROWS`, found `{}`", words.join(" "))),
    }
}

fn compile_error(message: &str) -> TokenStream {
    format!("compile_error!({message:?});").parse().expect("a macro call is Rust")
}
