/* Runs on every page: the switch between light and dark, and buttons that copy code, if doxygen-awesome-css is there. */
if (typeof DoxygenAwesomeDarkModeToggle !== "undefined") DoxygenAwesomeDarkModeToggle.init();
if (typeof DoxygenAwesomeFragmentCopyButton !== "undefined") DoxygenAwesomeFragmentCopyButton.init();
