// All tests, in one process: they share a server and a browser. See README.md.
import './tests/run.mjs';
import './tests/permissions.mjs';
import './tests/ways.mjs';
import './tests/pages.mjs';
