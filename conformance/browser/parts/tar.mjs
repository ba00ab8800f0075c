// Archives of a few small files.

// `{ path: text }` as a tar archive.
export function tar(files) {
  const parts = [];
  for (const [path, text] of Object.entries(files)) {
    const body = Buffer.from(text);
    const head = Buffer.alloc(512);
    const put = (at, value) => head.write(value, at, 'latin1');
    put(0, path);
    put(100, '0000644\0');
    put(108, '0000000\0');
    put(116, '0000000\0');
    put(124, `${body.length.toString(8).padStart(11, '0')}\0`);
    put(136, '00000000000\0');
    put(148, '        ');
    put(156, '0');
    put(257, 'ustar\u000000');
    const sum = head.reduce((sum, byte) => sum + byte, 0);
    put(148, `${sum.toString(8).padStart(6, '0')}\0 `);
    parts.push(head, body, Buffer.alloc((512 - (body.length % 512)) % 512));
  }
  return Buffer.concat([...parts, Buffer.alloc(1024)]);
}
