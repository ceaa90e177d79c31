//! A visitor of the console: a browser without scripts, with the cookie of its session.

use handover::app::sign_in;
use handover::contract::UserId;

use super::World;
use super::api::{Answer, ApiServer, Call};

/// A visitor of the console.
pub struct Visitor<'s> {
    pub server: &'s ApiServer,
    pub cookie: Option<String>,
}

/// Creates a link that signs in a user of the seed's organization, and returns its secret.
pub async fn link_of(world: &World, user: &str) -> String {
    let org = "1".to_owned().try_into().expect("an id");
    let user = UserId::try_from(user.to_owned()).expect("an id");
    sign_in::create_link(&world.context, Some(&org), &user).await.expect("a link")
}

impl<'s> Visitor<'s> {
    /// Arrives without a session.
    pub fn of(server: &'s ApiServer) -> Visitor<'s> {
        Visitor { server, cookie: None }
    }

    /// Signs a user in by a new link.
    pub async fn signed_in(world: &World, server: &'s ApiServer, user: &str) -> Visitor<'s> {
        let mut visitor = Visitor::of(server);
        visitor.use_link(&link_of(world, user).await).await.expect(303);
        visitor
    }

    /// Uses a link, and keeps the cookie that the answer sets.
    pub async fn use_link(&mut self, link: &str) -> Answer {
        let answer = self.post("/login", &[("link", link)]).await;
        let cookie = answer.headers.get("set-cookie").and_then(|cookie| cookie.split(';').next());
        self.cookie = cookie.map(str::to_owned).or(self.cookie.take());
        answer
    }

    /// Begins a call with the cookie.
    pub fn call<'c>(&'c self, method: &'c str, path: impl Into<String>) -> Call<'c> {
        let call = self.server.call(method, path).header("Accept", "text/html");
        match &self.cookie {
            Some(cookie) => call.header("Cookie", cookie.clone()),
            None => call,
        }
    }

    /// Opens a page.
    pub async fn get(&self, path: impl Into<String>) -> Answer {
        self.call("GET", path).answer().await
    }

    /// Sends a form, as a browser does for our own page.
    pub async fn post(&self, path: impl Into<String>, fields: &[(&str, &str)]) -> Answer {
        self.form("POST", path, fields).header("Sec-Fetch-Site", "same-origin").answer().await
    }

    /// Sends a form with the hidden fields of a page that hold a draft, a plan or an id, and more fields.
    pub async fn press(&self, page: &Answer, path: &str, more: &[(&str, &str)]) -> Answer {
        let hidden = hidden(&page.body, path);
        let fields: Vec<(&str, &str)> = hidden.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        self.post(path, &[&fields, more].concat()).await
    }

    /// Begins a call that sends a form, and does not say which page it is of.
    pub fn form<'c>(&'c self, method: &'c str, path: impl Into<String>, fields: &[(&str, &str)]) -> Call<'c> {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        self.call(method, path).header("Content-Type", "application/x-www-form-urlencoded").body(body)
    }
}

/// Returns the hidden fields of the last form of a page that is sent to a path.
fn hidden(page: &str, path: &str) -> Vec<(String, String)> {
    let form = page.rsplit("<form ").find(|form| form.contains(&format!("action=\"{path}\""))).expect("a form");
    let form = form.split("</form>").next().unwrap_or_default();
    let inputs = form.split("<input type=\"hidden\" ").skip(1);
    let attribute = |input: &str, name: &str| {
        let value = input.split(&format!("{name}=\"")).nth(1)?.split('"').next()?;
        Some(
            value
                .replace("&#34;", "\"")
                .replace("&#39;", "'")
                .replace("&#60;", "<")
                .replace("&#62;", ">")
                .replace("&#38;", "&"),
        )
    };
    inputs.filter_map(|input| Some((attribute(input, "name")?, attribute(input, "value")?))).collect()
}
