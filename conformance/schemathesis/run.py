"""Requests of every role, made from the server's own OpenAPI document by Schemathesis.

`cargo xtask conformance schemathesis` starts a server and runs this. It makes two organizations with a canary in
everything that can hold a text, lets each role ask until its share of the requests is made, and fails when an answer is a
server error, holds a stack trace, or tells a role of one organization a canary of the other; or when the server logged an
error. `--page` writes the counts as Markdown.
"""

import argparse
import base64
import collections
import concurrent.futures
import hashlib
import io
import json
import os
import pathlib
import re
import secrets
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.error
import urllib.request

HERE = pathlib.Path(__file__).parent
# Holds its run open, and so the run's token alive, long after the tester is done.
LINGER = r"""
resource "terraform_data" "a" {
  provisioner "local-exec" { command = "base64 -w0 < $TF_CLI_CONFIG_FILE; echo .end.; sleep 7200" }
}
"""


class Api:
    """The API as one caller."""

    def __init__(self, url, token):
        self.url, self.token = url, token

    def send(self, method, path, body=None, raw=None):
        url = path if path.startswith("http") else f"{self.url}/api/v2{path}"
        data = raw if raw is not None else (None if body is None else json.dumps(body).encode())
        request = urllib.request.Request(url, data=data, method=method)
        request.add_header("Content-Type", "application/vnd.api+json")
        if self.token and "/api/" in url:
            request.add_header("Authorization", f"Bearer {self.token}")
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def make(self, method, path, body=None):
        status, answer = self.send(method, path, body)
        if status >= 300:
            sys.exit(f"{method} {path} was answered {status}: {answer.decode()}")
        return json.loads(answer) if answer else {}

    def get(self, path):
        return self.make("GET", path)

    def post(self, path, attributes=None, related=None):
        relationships = {name: {"data": data} for name, data in (related or {}).items()}
        body = {"data": {"attributes": attributes or {}, "relationships": relationships}}
        return self.make("POST", path, body).get("data", {})


def one(kind, id):
    return {"type": kind, "id": id}


def archive(text):
    """A configuration of one file."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        entry = tarfile.TarInfo("main.tf")
        entry.size = len(text)
        tar.addfile(entry, io.BytesIO(text.encode()))
    return packed.getvalue()


class House:
    """An organization with one of everything and a canary in it."""

    def __init__(self, admin, name):
        self.admin, self.name = admin, name
        self.canary = f"canary{secrets.token_hex(6)}"
        self.ids = collections.defaultdict(list)
        canary, of = self.canary, f"/organizations/{name}"
        admin.post("/organizations", {"name": name, "email": f"{canary}@example.com"})
        self.note("organizations", name)
        self.project = self.made(f"{of}/projects", {"name": f"p {canary}", "description": canary})
        within = {"project": one("projects", self.project)}
        for workspace in ["demo", "expendable"]:
            id = self.made(f"{of}/workspaces", {"name": workspace, "description": canary}, within)
            self.made(f"/workspaces/{id}/vars", {"key": canary, "value": canary, "category": "env"})
            admin.make("PATCH", f"/workspaces/{id}/tag-bindings", {"data": [{"attributes": {"key": canary, "value": canary}}]})
            admin.make("POST", f"/workspaces/{id}/actions/lock", {"reason": canary})
            self.state(id)
            self.runs(id)
        demo, expendable = self.ids["workspaces"]
        self.workspace = demo
        self.made(f"/workspaces/{demo}/run-triggers", related={"sourceable": one("workspaces", expendable)})
        self.made(f"{of}/ssh-keys", {"name": canary, "value": canary})
        self.made(f"{of}/reserved-tag-keys", {"key": f"reserved{canary}"})
        scopes = {"workspaces": [one("workspaces", demo)]}
        varset = self.made(f"{of}/varsets", {"name": canary, "description": canary}, scopes)
        self.made(f"/varsets/{varset}/relationships/vars", {"key": canary, "value": canary, "category": "env"})
        self.teams = {level: self.team(level) for level in ["read", "plan", "write"]}
        self.note_lists(of)
        self.token = admin.post(f"{of}/authentication-token")["attributes"]["token"]

    def note(self, kind, id):
        if id not in self.ids[kind]:
            self.ids[kind].append(id)

    def made(self, path, attributes=None, related=None):
        data = self.admin.post(path, attributes, related)
        self.note(data["type"], data["id"])
        return data["id"]

    def team(self, level):
        """A team with this access to the workspace; its token."""
        team = self.made(f"/organizations/{self.name}/teams", {"name": f"{level}-{self.canary}"})
        related = {"team": one("teams", team), "workspace": one("workspaces", self.workspace)}
        self.made("/team-workspaces", {"access": level}, related)
        related = {"team": one("teams", team), "project": one("projects", self.project)}
        self.made("/team-projects", {"access": "read"}, related)
        token = self.admin.post(f"/teams/{team}/authentication-token")
        self.note("authentication-tokens", token["id"])
        return team, token["attributes"]["token"]

    def state(self, workspace):
        output = {"value": self.canary, "type": "string"}
        state = json.dumps({"version": 4, "terraform_version": "1.11.4", "serial": 1, "lineage": "l",
                            "outputs": {"o": output}, "resources": []}).encode()
        attributes = {"serial": 1, "lineage": "l", "md5": hashlib.md5(state).hexdigest(),
                      "state": base64.b64encode(state).decode()}
        self.made(f"/workspaces/{workspace}/state-versions", attributes)
        found = self.admin.get(f"/workspaces/{workspace}/current-state-version?include=outputs")
        for output in found["included"]:
            self.note("state-version-outputs", output["id"])

    def configuration(self, workspace, text):
        path = f"/workspaces/{workspace}/configuration-versions"
        version = self.admin.post(path, {"auto-queue-runs": False})
        self.note("configuration-versions", version["id"])
        status, _ = self.admin.send("PUT", version["attributes"]["upload-url"], raw=archive(text))
        assert status == 200, status

    def runs(self, workspace):
        """A run that the lock holds back, with what belongs to one."""
        self.configuration(workspace, f'output "o" {{ value = "{self.canary}" }}')
        run = self.made("/runs", {"message": self.canary}, {"workspace": one("workspaces", workspace)})
        found = self.admin.get(f"/runs/{run}")["data"]["relationships"]
        self.note("plans", found["plan"]["data"]["id"])
        self.note("applies", found["apply"]["data"]["id"])
        self.made(f"/runs/{run}/comments", {"body": self.canary})
        for event in self.admin.get(f"/runs/{run}/run-events")["data"]:
            self.note("run-events", event["id"])
        self.note("queries", self.admin.post("/queries", {}, {"workspace": one("workspaces", workspace)})["id"])

    def note_lists(self, of):
        for path in [f"{of}/organization-memberships", f"{of}/tags", "/admin/terraform-versions", "/admin/opentofu-versions"]:
            for item in self.admin.get(path)["data"][:3]:
                self.note(item["type"], item["id"])

    def running(self):
        """The token of a run that lasts."""
        workspace = self.made(f"/organizations/{self.name}/workspaces", {"name": "lasting", "auto-apply": True})
        self.configuration(workspace, LINGER)
        run = self.made("/runs", {}, {"workspace": one("workspaces", workspace)})
        for _ in range(300):
            found = self.admin.get(f"/runs/{run}/apply")["data"]["attributes"]
            if found["status"] == "running":
                _, log = self.admin.send("GET", found["log-read-url"] + "?offset=0")
                told = re.search(r"([A-Za-z0-9+/=]{40,})\.end\.", log.decode("utf-8", "replace"))
                if told:
                    settings = base64.b64decode(told.group(1)).decode()
                    return re.search(r"ferroform-run\.[A-Za-z0-9_.-]+", settings).group(0)
            time.sleep(0.2)
        sys.exit("the run whose token is to be tried does not come to its apply")

    def person(self, program, data, database, name, teams):
        """The token of a member of these teams, made as an operator makes it."""
        path = f"/organizations/{self.name}/organization-memberships"
        related = {"teams": {"data": [one("teams", team) for team in teams]}}
        body = {"data": {"attributes": {"email": f"{name}@example.com"}, "relationships": related}}
        invited = self.admin.make("POST", path, body)
        self.note("organization-memberships", invited["data"]["id"])
        user = invited["included"][0]
        self.note("users", user["id"])
        command = [program, "token", "create", "--data-dir", data, "--user", user["attributes"]["username"], "--json"]
        if database:
            command += ["--database", database]
        made = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        return made.get("token") or made["data"]["token"]


# Where a real id would end the callers' own access, or rename what the paths name: there only invented ones are tried.
SPARED = re.compile(
    r"^(DELETE|PATCH) /api/v2/(admin/)?organizations/\{organization\}$"
    r"|authentication-token|/admin/users/|^(DELETE|PATCH) .*/teams/\{id\}|/account/|^PATCH /api/v2/admin/"
    r"|^DELETE .*organization-memberships|relationships/(users|organization-memberships)$|data-retention-policy$"
)

# What ends an organization or a person, for all who ask after that.
ENDING = re.compile(r"^DELETE /api/v2/(admin/)?(organizations/\{organization\}|users/\{id\})$|/actions/suspend$")


def known(path, houses):
    """Ids for the last parameter's place in a path, of both organizations."""
    ids = []
    for house in houses:
        ids += house.ids.get(path, [])
    return ids


def taught(document, admin, houses):
    """The document with ids that exist in place of some of the invented ones, and with the attributes that answers have."""
    for path, item in document["paths"].items():
        # The tester also tries ids that answers told it, so these are left out: nothing would be left to ask about.
        for method in [method for method in item if ENDING.search(f"{method.upper()} {path}")]:
            del item[method]
        parts = path.split("/")
        for method, operation in item.items():
            spared = SPARED.search(f"{method.upper()} {path}")
            for parameter in operation.get("parameters", []):
                if parameter.get("in") != "path":
                    continue
                name = parameter["name"]
                before = parts[parts.index("{%s}" % name) - 1]
                ids = ["demo"] if name == "name" else known({"vars": "vars"}.get(before, before), houses)
                if ids and not spared:
                    parameter["schema"] = {"type": "string", "enum": ids}
            attributes = learned(path, method, admin, houses)
            for content in operation.get("requestBody", {}).get("content", {}).values():
                if attributes:
                    content["schema"] = {"anyOf": [resource(attributes, houses), resource(attributes, houses), content["schema"]]}
    return document


def resource(attributes, houses):
    """A document of one resource that has some of these attributes, and names things that exist."""
    properties = {name: {"anyOf": [{"enum": [value]}, typed(value), {}]} for name, value in attributes.items()}
    named = {}
    for kind, name in [("workspaces", "workspace"), ("teams", "team"), ("projects", "project"), ("users", "user"),
                       ("configuration-versions", "configuration-version"), ("plans", "plan"), ("workspaces", "sourceable")]:
        ids = known(kind, houses)
        identifier = {"type": "object", "required": ["id"], "properties": {"type": {"const": kind}, "id": {"enum": ids}}}
        named[name] = {"type": "object", "required": ["data"], "properties": {"data": identifier}}
    data = {"type": "object", "required": ["attributes"], "properties": {
        "attributes": {"type": "object", "properties": properties},
        "relationships": {"type": "object", "properties": named},
    }}
    return {"type": "object", "required": ["data"], "properties": {"data": data}}


def typed(value):
    kinds = {bool: "boolean", int: "integer", str: "string", list: "array", dict: "object"}
    return {"type": kinds[type(value)]} if type(value) in kinds else {}


def learned(path, method, admin, houses):
    """The attributes of what is at a path, or listed there."""
    if method not in ("post", "patch"):
        return {}
    parts = path.removeprefix("/api/v2").split("/")
    for at, part in enumerate(parts):
        if part.startswith("{"):
            ids = known(parts[at - 1], houses[:1])
            parts[at] = "demo" if part == "{name}" else (ids[0] if ids else "none")
    status, answer = admin.send("GET", "/".join(parts))
    if status != 200:
        return {"name": "some", "description": "some", "access": "read", "key": "k", "value": "v", "category": "env"}
    data = json.loads(answer).get("data")
    data = data[0] if isinstance(data, list) and data else data
    attributes = dict(data.get("attributes", {})) if isinstance(data, dict) else {}
    for name in ["permissions", "user-tokens-enabled", "is-site-admin", "is-disabled"]:
        attributes.pop(name, None)
    return attributes


def ask(arguments, document, role, token, forbidden, share, folder):
    """Lets one role ask until its share is made; the counts, and what the tester found."""
    statuses, reached, found = collections.Counter(), set(), []
    for turn in range(40):
        counts = folder / f"{role.replace(' ', '-')}-{turn}.json"
        environment = {**os.environ, "SCHEMATHESIS_HOOKS": str(HERE / "hooks.py"), "FERROFORM_COUNTS": str(counts),
                       "FERROFORM_FORBIDDEN": ",".join(forbidden), "PYTHONPATH": str(HERE)}
        command = [arguments.tester, "run", str(document), "--url", arguments.url, "--phases", "fuzzing",
                   "--checks", "not_a_server_error,tells_nothing_foreign", "--max-examples", str(arguments.examples),
                   "--workers", str(arguments.workers),
                   # Every other turn says what the document forbids, too: ids and forms that do not exist.
                   "--mode", "all" if turn % 2 else "positive", "--seed", str(arguments.seed + turn), "--continue-on-failure",
                   "--generation-database", "none", "--no-color", "--request-timeout", "60", "--max-redirects", "0",
                   "--suppress-health-check", "all", "--no-shrink", "--warnings", "off"]
        command += ["-H", f"Authorization: Bearer {token}"] if token else []
        ended = subprocess.run(command, env=environment, capture_output=True, text=True)
        if not counts.exists():
            sys.exit(f"the tester did not work: {ended.stdout[-3000:]}{ended.stderr[-3000:]}")
        told = json.loads(counts.read_text())
        statuses.update({int(status): count for status, count in told["statuses"].items()})
        reached.update(told["reached"])
        if ended.returncode != 0:
            (folder / f"{role.replace(' ', '-')}-{turn}.txt").write_text(ended.stdout)
            found.append(ended.stdout)
        if sum(statuses.values()) >= share:
            break
    return statuses, reached, found


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--url", required=True)
    parser.add_argument("--program", required=True, help="the server's program, which makes tokens")
    parser.add_argument("--data-dir", required=True)
    parser.add_argument("--log", required=True, help="the file with what the server says")
    parser.add_argument("--database", help="its database, if that is PostgreSQL")
    parser.add_argument("--tester", required=True, help="the program schemathesis")
    parser.add_argument("--requests", type=int, default=50_000)
    parser.add_argument("--examples", type=int, default=20)
    parser.add_argument("--workers", type=int, default=2, help="requests of one role at the same time")
    parser.add_argument("--at-once", type=int, default=3, help="roles at the same time; those that may delete most come last")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--page", help="where to write the counts as Markdown")
    arguments = parser.parse_args()
    began = time.monotonic()
    admin = Api(arguments.url, pathlib.Path(arguments.data_dir, "admin-token").read_text().strip())
    acme, globex = House(admin, "acme"), House(admin, "globex")
    made_by = (arguments.program, arguments.data_dir, arguments.database)
    owners = lambda house: admin.get(f"/organizations/{house.name}/teams?q=owners")["data"][0]["id"]
    roles = [
        ("anonymous", None, [acme, globex]),
        ("stranger", globex.person(*made_by, "stranger", [owners(globex)]), [acme]),
        ("run token", acme.running(), [globex]),
        ("read team", acme.teams["read"][1], [globex]),
        ("plan team", acme.teams["plan"][1], [globex]),
        ("organization member", acme.person(*made_by, "member", [acme.teams["read"][0]]), [globex]),
        ("write team", acme.teams["write"][1], [globex]),
        ("organization token", acme.token, [globex]),
        ("owner", acme.person(*made_by, "owner", [owners(acme)]), [globex]),
        ("site admin", admin.token, []),
    ]
    folder = pathlib.Path(tempfile.mkdtemp(prefix="schemathesis-"))
    document = folder / "openapi.json"
    _, plain = admin.send("GET", "/openapi.json")
    document.write_text(json.dumps(taught(json.loads(plain), admin, [acme, globex])))
    operations = sum(len(item) for item in json.loads(plain)["paths"].values())
    share = -(-arguments.requests // len(roles))

    def asked(role, token, foreign):
        started = time.monotonic()
        path = "/ping" if token is None else "/account/details"
        alive = Api(arguments.url, token).send("GET", path)[0]
        forbidden = [house.canary for house in foreign]
        statuses, reached, found = ask(arguments, document, role, token, forbidden, share, folder)
        ended = Api(arguments.url, token).send("GET", path)[0]
        print(f"{role}: {sum(statuses.values())} requests in {time.monotonic() - started:.0f} s, {dict(sorted(statuses.items()))}, "
              f"{len(reached)} operations answered; its token {alive} before, {ended} after"
              + (f"; FAILED, see {folder}" if found else ""), flush=True)
        return role, statuses, reached, len(found)

    with concurrent.futures.ThreadPoolExecutor(arguments.at_once) as pool:
        rows = list(pool.map(lambda role: asked(*role), roles))
    failed = any(found for _, _, _, found in rows)
    log = pathlib.Path(arguments.log).read_text(errors="replace")
    errors = [line for line in log.splitlines() if " ERROR " in line or "panicked at" in line]
    for line in errors[:20]:
        print(f"the server logged: {line}")
    total = sum(sum(statuses.values()) for _, statuses, _, _ in rows)
    print(f"{total} requests in {time.monotonic() - began:.0f} s; {len(errors)} errors logged; what was found: {folder}")
    if arguments.page:
        pathlib.Path(arguments.page).write_text(page(rows, total, operations, len(errors), arguments))
    sys.exit(1 if failed or errors else 0)


def page(rows, total, operations, errors, arguments):
    statuses = sorted({status for _, counts, _, _ in rows for status in counts})
    lines = [
        "# Requests made from the OpenAPI document",
        "",
        f"`cargo xtask conformance schemathesis`: {total:,} requests, of every role, made by Schemathesis from the "
        f"{operations} operations of `/api/v2/openapi.json`, on {'PostgreSQL' if arguments.database else 'SQLite'}. Two "
        "organizations have a canary in every text: no answer to a role of one may hold a canary of the other, whatever was "
        "asked. Paths and bodies name things of both that exist, as well as invented ones.",
        "",
        "| role | requests | operations answered 2xx or 3xx | " + " | ".join(map(str, statuses)) + " | failures |",
        "|---|---|---|" + "---|" * (len(statuses) + 1),
    ]
    for role, counts, reached, found in rows:
        cells = " | ".join(str(counts.get(status, 0)) for status in statuses)
        lines.append(f"| {role} | {sum(counts.values())} | {len(reached)} | {cells} | {found} |")
    lines += ["", f"Errors in the server's log: {errors}."]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
