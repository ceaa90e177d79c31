//! The users whom rows name, looked up by id and by email address, each within the row's organization.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::app::error::Result;
use crate::catalog::{Catalog, Spelling};
use crate::contract::UserId;
use crate::plan::UserStatus;
use crate::store::host::{self, Person};
use crate::store::{self, Session, Store};

/// The users to look up, by organization. A host without organizations has one, with an empty name.
#[derive(Debug, Default)]
pub struct Wanted(BTreeMap<String, Names>);

#[derive(Debug, Default)]
struct Names {
    ids: BTreeSet<UserId>,
    emails: BTreeSet<String>,
}

/// The users who were found.
#[derive(Debug, Default)]
pub struct Directory {
    by_id: HashMap<(String, UserId), Person>,
    /// The ids of users whom the users' table writes in another way, by the ids as rows write them.
    stored: HashMap<(String, UserId), UserId>,
    by_email: HashMap<(String, String), Vec<Person>>,
}

/// The users whom an email address means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Addressed {
    /// Nobody has the address.
    Nobody,
    /// One user: the only one who is active, or the only one at all.
    One(UserId),
    /// Several users who are active, or invited.
    Several(Vec<UserId>),
    /// Several users, all of them inactive.
    SeveralInactive(Vec<UserId>),
}

impl Wanted {
    /// Adds a user's id.
    pub fn id(&mut self, org: &str, id: UserId) {
        self.0.entry(org.to_owned()).or_default().ids.insert(id);
    }

    /// Adds an email address.
    pub fn email(&mut self, org: &str, email: &str) {
        self.0.entry(org.to_owned()).or_default().emails.insert(email.to_lowercase());
    }
}

impl Directory {
    /// Looks up users, those of each organization in a transaction of its own.
    pub async fn read(store: &Store, catalog: &Catalog, wanted: Wanted) -> Result<Directory> {
        let mut directory = Directory::default();
        for (org, Names { ids, emails }) in wanted.0 {
            if !emails.is_empty() {
                let session = enter(store, catalog, &org).await?;
                let emails: Vec<String> = emails.into_iter().collect();
                let found = host::users_with_emails(&session, &catalog.within(&org), &org, &emails).await?;
                for (email, people) in found {
                    people.into_iter().for_each(|person| directory.add_with_email(&org, &email, person));
                }
            }
            let stored = stored_ids(store, catalog, &org, &ids).await?;
            let ids: BTreeSet<&UserId> = ids.iter().map(|id| stored.get(id).unwrap_or(id)).collect();
            for person in with_ids(store, catalog, &org, &ids.into_iter().collect::<Vec<_>>()).await? {
                directory.add(&org, person);
            }
            directory.stored.extend(stored.into_iter().map(|(asked, id)| ((org.clone(), asked), id)));
        }
        Ok(directory)
    }

    fn add(&mut self, org: &str, person: Person) {
        self.by_id.insert((org.to_owned(), person.id.clone()), person);
    }

    /// Adds a user who has this email address.
    pub fn add_with_email(&mut self, org: &str, email: &str, person: Person) {
        self.by_email.entry((org.to_owned(), email.to_lowercase())).or_default().push(person.clone());
        self.add(org, person);
    }

    /// Returns a user of an organization.
    pub fn person(&self, org: &str, id: &UserId) -> Option<&Person> {
        self.by_id.get(&(org.to_owned(), id.clone()))
    }

    /// Returns an id as the users' table writes it; as it is, if nobody has it.
    pub fn stored(&self, org: &str, id: UserId) -> UserId {
        let place = (org.to_owned(), id);
        self.stored.get(&place).cloned().unwrap_or(place.1)
    }

    /// Returns every user of an organization who has an email address.
    pub fn with_email(&self, org: &str, email: &str) -> &[Person] {
        self.by_email.get(&(org.to_owned(), email.to_lowercase())).map_or(&[], Vec::as_slice)
    }

    /// Returns the users whom an email address means. Those who have left do not compete with those who have not: an address is
    /// given to a new account when a person comes back.
    pub fn addressed(&self, org: &str, email: &str) -> Addressed {
        let people = self.with_email(org, email);
        for rank in [Rank::Active, Rank::Other, Rank::Inactive] {
            let of_rank = people.iter().filter(|person| self::rank(&person.status) == rank);
            let users: Vec<UserId> = of_rank.map(|person| person.id.clone()).collect();
            match (users.as_slice(), rank) {
                ([], _) => {}
                ([user], _) => return Addressed::One(user.clone()),
                (_, Rank::Inactive) => return Addressed::SeveralInactive(users),
                (_, Rank::Active | Rank::Other) => return Addressed::Several(users),
            }
        }
        Addressed::Nobody
    }
}

async fn enter(store: &Store, catalog: &Catalog, org: &str) -> store::Result<Session> {
    let session = store.snapshot().await?;
    host::enter(&session, catalog, org).await?;
    Ok(session)
}

/// Returns the ids of those of these users whom the users' table writes in another way.
async fn stored_ids(
    store: &Store,
    catalog: &Catalog,
    org: &str,
    ids: &BTreeSet<UserId>,
) -> Result<HashMap<UserId, UserId>> {
    if ids.is_empty() || catalog.users.spelling == Spelling::One {
        return Ok(HashMap::new());
    }
    let session = enter(store, catalog, org).await?;
    let asked: Vec<&str> = ids.iter().map(UserId::as_str).collect();
    let found = host::stored_ids(&session, &catalog.within(org), &asked).await?;
    let read = |(asked, id): (String, String)| Some((UserId::try_from(asked).ok()?, UserId::try_from(id).ok()?));
    Ok(found.into_iter().filter_map(read).collect())
}

/// Looks up users by id, all at once. If the database refuses that, looks them up one by one: a text that no key can hold is
/// nobody's id.
async fn with_ids(store: &Store, catalog: &Catalog, org: &str, ids: &[&UserId]) -> store::Result<Vec<Person>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let session = enter(store, catalog, org).await?;
    match host::users_with_ids(&session, &catalog.within(org), org, ids).await {
        Err(error) if !error.is_transient() && ids.len() > 1 => {
            drop(session);
            let mut people = Vec::new();
            for id in ids {
                people.extend(Box::pin(with_ids(store, catalog, org, &[*id])).await?);
            }
            Ok(people)
        }
        Err(error) if !error.is_transient() => Ok(Vec::new()),
        found => found,
    }
}

/// The order in which users with the same address are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rank {
    Active,
    Other,
    Inactive,
}

fn rank(status: &UserStatus) -> Rank {
    match status {
        UserStatus::Active => Rank::Active,
        UserStatus::Invited | UserStatus::Other(_) => Rank::Other,
        UserStatus::Inactive => Rank::Inactive,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meant(statuses: &[UserStatus]) -> Addressed {
        let mut directory = Directory::default();
        for (number, status) in statuses.iter().enumerate() {
            let id = UserId::try_from(number.to_string()).expect("an id");
            let person = Person { id, name: "Jo".into(), email: "jo@example.com".into(), status: status.clone() };
            directory.add_with_email("1", "jo@example.com", person);
        }
        directory.addressed("1", "Jo@Example.com")
    }

    #[test]
    fn address_means_the_one_active_user() {
        use UserStatus::{Active, Inactive, Invited};
        let ids =
            |ids: &[&str]| ids.iter().map(|id| UserId::try_from((*id).to_owned()).expect("an id")).collect::<Vec<_>>();
        let one = |id| Addressed::One(ids(&[id]).remove(0));
        assert_eq!(meant(&[]), Addressed::Nobody);
        assert_eq!(meant(&[Inactive]), one("0"));
        assert_eq!(meant(&[Inactive, Active, Invited, Inactive]), one("1"));
        assert_eq!(meant(&[Inactive, Inactive, Invited]), one("2"));
        assert_eq!(meant(&[Active, Inactive, Active]), Addressed::Several(ids(&["0", "2"])));
        assert_eq!(meant(&[Inactive, Inactive]), Addressed::SeveralInactive(ids(&["0", "1"])));
    }
}
