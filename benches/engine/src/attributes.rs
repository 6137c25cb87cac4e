//! The attributes of [`shapes::context`](crate::shapes::context) in a type of their own, which never becomes JSON.

use rototo_engine::{Attribute, Attributes};

pub struct Request {
    account: Account,
    role: String,
    age_days: u32,
    client: Client,
    path: String,
    queue_pressure: String,
}

struct Account {
    id: String,
    plan: String,
    seats: u32,
    region: Region,
}

struct Region {
    code: String,
    tier: String,
}

struct Client {
    os: String,
    version: f64,
}

impl Request {
    pub fn new() -> Self {
        let region = Region { code: "eu".to_owned(), tier: "gold".to_owned() };
        Self {
            account: Account { id: "acct-0001".to_owned(), plan: "enterprise".to_owned(), seats: 250, region },
            role: "admin".to_owned(),
            age_days: 400,
            client: Client { os: "linux".to_owned(), version: 7.25 },
            path: "/v1/jobs".to_owned(),
            queue_pressure: "high".to_owned(),
        }
    }
}

impl Attributes for Request {
    fn attribute(&self, path: &str) -> Option<Attribute<'_>> {
        Some(match path {
            "account.id" => Attribute::from(&self.account.id),
            "account.plan" => Attribute::from(&self.account.plan),
            "account.seats" => Attribute::from(self.account.seats),
            "account.region.code" => Attribute::from(&self.account.region.code),
            "account.region.tier" => Attribute::from(&self.account.region.tier),
            "user.role" => Attribute::from(&self.role),
            "user.age_days" => Attribute::from(self.age_days),
            "user.client.os" => Attribute::from(&self.client.os),
            "user.client.version" => Attribute::from(self.client.version),
            "request.path" => Attribute::from(&self.path),
            "service.queue.pressure" => Attribute::from(&self.queue_pressure),
            _ => return None,
        })
    }
}
