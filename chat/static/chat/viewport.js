// Keeps the composer above a phone's keyboard where the browser does not shrink the page itself (iOS): the height that
// is really in sight goes to chat.css as a custom property.

export function followKeyboard() {
  const { visualViewport } = window;
  if (!visualViewport) return;
  const follow = () => {
    if (visualViewport.scale > 1.01) return; // zoomed in by hand, not by a keyboard
    document.documentElement.style.setProperty("--in-sight", `${visualViewport.height}px`);
    scrollTo(0, 0);
  };
  visualViewport.addEventListener("resize", follow);
  follow();
}
