//! Pages: what people see of the server in a browser.
//!
//! A page is a view of the same slices as the API's, with the same rules; nothing is decided here a second time. Pages are
//! made on the server (maud), need no script, and ask nothing of any other host. What every page must keep is done in one
//! place, [`serve`]: who visits, that a form comes from one of our own pages, and the headers of the answer.
//!
//! Reading order: [`serve`] (from the table of pages to a service), `visit` (one request), `answer`, `layout` (frames and
//! parts that pages are made of), then the pages: `sign_in`, `external`, `authorize`, `home`, `tokens`, `password`,
//! `two_factor`, `sessions`, `people`.
//! Why it is made like this is in `docs/adr/0005-pages-without-script.md`.

mod admin;
mod answer;
mod assets;
mod authorize;
mod external;
mod files;
mod form;
mod home;
mod layout;
mod live;
mod organization;
mod parts;
mod password;
mod people;
mod run;
pub mod serve;
mod sessions;
mod sign_in;
mod tokens;
mod two_factor;
mod visit;
mod workspace;

pub use serve::{Needs, Route, fallback, router, routes};
