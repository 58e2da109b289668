/* Doxygen puts this into the configuration of MathJax on each page. The menu of a formula would need parts of MathJax that
   make_docs.sh does not copy. */
MathJax.Hub.Config({ showMathMenu: false });
