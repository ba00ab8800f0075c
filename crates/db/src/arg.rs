//! Values bound to a statement, in the four types that both engines share.

use kernel::Timestamp;
use sqlx::{Database, Encode, Type, query::Query, query::QueryAs};

/// One bound value; `None` is SQL's NULL of that type (PostgreSQL wants to know which).
#[derive(Clone, Debug)]
pub enum Arg {
    /// `TEXT`
    Text(Option<String>),
    /// `BIGINT`
    Int(Option<i64>),
    /// `BOOLEAN`
    Bool(Option<bool>),
    /// `BLOB`
    Blob(Option<Vec<u8>>),
}

/// A list of bound values: `args![id, name, Some(3)]`.
#[macro_export]
macro_rules! args {
    ($($value:expr),* $(,)?) => { vec![$($crate::Arg::from($value)),*] };
}

macro_rules! from {
    ($($type:ty => $variant:ident($convert:expr);)*) => {$(
        impl From<$type> for Arg {
            fn from(value: $type) -> Self {
                let convert: fn($type) -> _ = $convert;
                Self::$variant(Some(convert(value)))
            }
        }
        impl From<Option<$type>> for Arg {
            fn from(value: Option<$type>) -> Self {
                let convert: fn($type) -> _ = $convert;
                Self::$variant(value.map(convert))
            }
        }
    )*};
}

from! {
    String => Text(|v| v);
    &str => Text(str::to_owned);
    &String => Text(String::clone);
    i64 => Int(|v| v);
    u32 => Int(i64::from);
    bool => Bool(|v| v);
    Vec<u8> => Blob(|v| v);
    &[u8] => Blob(<[u8]>::to_vec);
    Timestamp => Int(Timestamp::micros);
}

macro_rules! from_ids {
    ($($id:ident)*) => {$(
        impl From<&kernel::ids::$id> for Arg {
            fn from(id: &kernel::ids::$id) -> Self {
                Self::Text(Some(id.as_str().to_owned()))
            }
        }
        impl From<Option<&kernel::ids::$id>> for Arg {
            fn from(id: Option<&kernel::ids::$id>) -> Self {
                Self::Text(id.map(|id| id.as_str().to_owned()))
            }
        }
    )*};
}

from_ids! {
    OrganizationId UserId TeamId MembershipId TeamAccessId TeamProjectAccessId VariableSetId TokenId ProjectId WorkspaceId VariableId
    ConfigurationVersionId RunId PlanId ApplyId RunEventId CommentId StateVersionId StateVersionOutputId
    WorkspaceResourceId BlobId ToolVersionId SigningKeyId TagId TagBindingId SessionId RunTriggerId SavedFilterId SshKeyId AgentPoolId
    ReservedTagKeyId DataRetentionPolicyId PlanExportId ScimGroupId CidrRangeListId CidrRangeId BannerId
}

/// What an engine must be able to encode for an [`Arg`] to be bound.
pub(crate) trait Portable: Database {}
impl Portable for sqlx::Sqlite {}
impl Portable for sqlx::Postgres {}

macro_rules! bind_all {
    ($query:expr, $args:expr) => {
        $args.into_iter().fold($query, |query, arg| match arg {
            Arg::Text(v) => query.bind(v),
            Arg::Int(v) => query.bind(v),
            Arg::Bool(v) => query.bind(v),
            Arg::Blob(v) => query.bind(v),
        })
    };
}

pub(crate) fn bind<'q, D, T>(
    query: QueryAs<'q, D, T, <D as Database>::Arguments>,
    args: Vec<Arg>,
) -> QueryAs<'q, D, T, <D as Database>::Arguments>
where
    D: Portable,
    Option<String>: Encode<'q, D> + Type<D>,
    Option<i64>: Encode<'q, D> + Type<D>,
    Option<bool>: Encode<'q, D> + Type<D>,
    Option<Vec<u8>>: Encode<'q, D> + Type<D>,
{
    bind_all!(query, args)
}

pub(crate) fn bind_query<'q, D>(
    query: Query<'q, D, <D as Database>::Arguments>,
    args: Vec<Arg>,
) -> Query<'q, D, <D as Database>::Arguments>
where
    D: Portable,
    Option<String>: Encode<'q, D> + Type<D>,
    Option<i64>: Encode<'q, D> + Type<D>,
    Option<bool>: Encode<'q, D> + Type<D>,
    Option<Vec<u8>>: Encode<'q, D> + Type<D>,
{
    bind_all!(query, args)
}
