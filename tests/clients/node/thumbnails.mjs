// The page of thumbnails in a real browser: an image uploaded through its form appears small; what is no image is said to be
// none. Arguments: the page's address, an image.
import assert from 'node:assert';
import { chromium } from 'playwright-core';

const [page, image] = process.argv.slice(2);
const browser = await chromium.launch({
  executablePath: '/usr/bin/chromium',
  // Nothing but this machine is asked, whatever name is.
  args: ['--no-sandbox', '--no-proxy-server', '--host-resolver-rules=MAP * 127.0.0.1', '--disable-dev-shm-usage'],
});
try {
  const tab = await browser.newPage();
  const problems = [];
  tab.on('pageerror', (e) => problems.push(e.message));
  tab.on('requestfailed', (request) => problems.push(`${request.url()}: ${request.failure().errorText}`));
  const asked = [];
  tab.on('request', (request) => asked.push(`${request.method()} ${new URL(request.url()).pathname}`));
  await tab.goto(page);
  await tab.setInputFiles('#file', image);
  const shown = tab.locator('figure img');
  await shown.waitFor({ timeout: 30_000 }).catch(async (e) => {
    throw new Error(`${e.message}; the page says: ${await tab.locator('#said').textContent()}; asked: ${asked.slice(0, 9)}; ${problems}`);
  });
  const size = await shown.evaluate((img) => [img.naturalWidth, img.naturalHeight]);
  assert.deepEqual(size, [160, 120]);
  assert.equal(await tab.locator('figcaption').textContent(), 'large.png, 640 x 480 PNG');
  assert.equal(await tab.locator('#said').textContent(), '');
  assert(asked.some((line) => /^POST \/.*-images-/.test(line)), `the browser itself uploads: ${asked}`);
  // The form admits images alone.
  await tab.setInputFiles('#file', { name: 'text.txt', mimeType: 'text/plain', buffer: Buffer.from('text') });
  await tab.waitForFunction(() => /text.txt: .*Policy/.test(document.getElementById('said').textContent), null, { timeout: 30_000 });
  assert.deepEqual(problems, []);
} finally {
  await browser.close();
}
